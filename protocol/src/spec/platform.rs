//! Platforms.

use serde::{Deserialize, Serialize};

use crate::engine::{EngineSocket, RuntimeName};
use crate::ids::Name;

/// A platform, i.e. what services run on; parameters of a kind are fields of its struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformSpec {
    /// Host processes.
    Native(NativeSpec),
    /// Containers of an engine with Docker's API.
    Docker(DockerSpec),
    /// LXC containers.
    Lxc(LxcSpec),
    /// OSv unikernels under QEMU.
    Osv(GuestSpec),
    /// IncludeOS unikernels under QEMU.
    Includeos(GuestSpec),
    /// Linux virtual machines under QEMU.
    LinuxVm(GuestSpec),
    /// Other QEMU guests that are described on the runner's host.
    Guest(GuestSpec),
    /// A fake for tests.
    Fake(FakeSpec),
}

/// The kind of a platform, without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformKind {
    /// See [`PlatformSpec::Native`].
    Native,
    /// See [`PlatformSpec::Docker`].
    Docker,
    /// See [`PlatformSpec::Lxc`].
    Lxc,
    /// See [`PlatformSpec::Osv`].
    Osv,
    /// See [`PlatformSpec::Includeos`].
    Includeos,
    /// See [`PlatformSpec::LinuxVm`].
    LinuxVm,
    /// See [`PlatformSpec::Guest`].
    Guest,
    /// See [`PlatformSpec::Fake`].
    Fake,
}

impl PlatformKind {
    /// All kinds, in display order.
    pub const ALL: [Self; 8] = [
        Self::Native,
        Self::Docker,
        Self::Lxc,
        Self::Osv,
        Self::Includeos,
        Self::LinuxVm,
        Self::Guest,
        Self::Fake,
    ];

    /// Its name in configuration files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Docker => "docker",
            Self::Lxc => "lxc",
            Self::Osv => "osv",
            Self::Includeos => "includeos",
            Self::LinuxVm => "linux-vm",
            Self::Guest => "guest",
            Self::Fake => "fake",
        }
    }
}

impl std::fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl PlatformSpec {
    /// The kind of this platform.
    #[must_use]
    pub const fn kind(&self) -> PlatformKind {
        match self {
            Self::Native(_) => PlatformKind::Native,
            Self::Docker(_) => PlatformKind::Docker,
            Self::Lxc(_) => PlatformKind::Lxc,
            Self::Osv(_) => PlatformKind::Osv,
            Self::Includeos(_) => PlatformKind::Includeos,
            Self::LinuxVm(_) => PlatformKind::LinuxVm,
            Self::Guest(_) => PlatformKind::Guest,
            Self::Fake(_) => PlatformKind::Fake,
        }
    }
}

/// Host processes, each in its own process group and, if permitted, its own cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeSpec {}

/// Containers of an engine with Docker's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerSpec {
    /// The engine.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: Engine,
    /// The container network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: ContainerNetwork,
    /// The engine's socket; `None`: from the runner's environment, else the engine's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<EngineSocket>,
    /// The OCI runtime as named in the engine, e.g. `runsc` or `crun`; `None`: the engine's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeName>,
    /// `true`: the endpoint is a port published on the host (through docker-proxy or NAT), reachable from other machines.
    /// `false`: the container's address on the bridge, reachable from the host and through a route.
    pub publish: bool,
    /// An image in the engine's store; `None`: one is built FROM scratch with the static workload binary.
    pub image: Option<String>,
}

/// LXC containers on the runner's bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LxcSpec {}

/// An engine with Docker's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Docker, at the runner's `DOCKER_HOST` or `/var/run/docker.sock`.
    #[default]
    Docker,
    /// Podman, at the runner's `CONTAINER_HOST` or `/run/podman/podman.sock`.
    Podman,
}

/// The network of containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerNetwork {
    /// The engine's bridge.
    #[default]
    Engine,
    /// The runner's bridge, which guests use, too.
    Bridge,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// QEMU guests, one per service. A file on the runner's host describes what they boot, since kernels and images are stored there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSpec {
    /// Name of the description, `<state>/guests/<guest>.toml` on the runner's host.
    pub guest: Name,
    /// Hardware virtualization or emulation.
    pub acceleration: Acceleration,
    /// The guest's network.
    pub network: GuestNetwork,
    /// vCPUs per guest; `None`: the size of the cpuset, or 1 without a cpuset.
    pub vcpus: Option<u32>,
}

/// Guests were emulated: QEMU's TCG translated their instructions, so their times and rates are not those of a machine with virtualisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulation {
    /// Why KVM did not work; `None`: it was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kvm_failure: Option<String>,
}

/// Hardware virtualization or emulation of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceleration {
    /// KVM; refused if a guest does not boot with it.
    Kvm,
    /// Emulation by QEMU (TCG). Times and rates are not comparable with hardware virtualization.
    Tcg,
    /// KVM if a guest boots with it, else TCG, which every report shows.
    Auto,
}

/// The network of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestNetwork {
    /// A tap device on the runner's bridge.
    Bridge(BridgeSpec),
    /// A host port forwarded by QEMU's user-mode network; needs no privileges, but is slow.
    User(UserNetSpec),
}

/// A tap device on the runner's bridge; the guest has a static address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSpec {
    /// Whether vhost-net handles the packets instead of QEMU.
    pub vhost: bool,
}

/// QEMU's user-mode network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserNetSpec {}

/// A fake platform: it serves nothing, and fails at a chosen stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FakeSpec {
    /// Start-up time, ms.
    pub start_ms: u64,
    /// The stage at which it fails, if any.
    pub fail: Option<FakeFailure>,
}

/// The stage at which the fake platform fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FakeFailure {
    /// A requirement is not met.
    Probe,
    /// The image cannot be prepared.
    Prepare,
    /// The service cannot be started.
    Start,
    /// The service starts but never replies.
    Ready,
    /// The service exits soon after READY.
    Exit,
    /// Teardown leaves something behind.
    Teardown,
}
