//! Where services run.

use serde::{Deserialize, Serialize};

use crate::engine::{EngineSocket, RuntimeName};
use crate::ids::Name;

/// Where services run. One variant a platform; what differs between platforms of a kind is data in its struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformSpec {
    /// A process of the host.
    Native(NativeSpec),
    /// A container of a Docker engine.
    Docker(DockerSpec),
    /// A container of LXC.
    Lxc(LxcSpec),
    /// An OSv unikernel under QEMU.
    Osv(GuestSpec),
    /// An IncludeOS unikernel under QEMU.
    Includeos(GuestSpec),
    /// A virtual machine with Linux under QEMU.
    LinuxVm(GuestSpec),
    /// Any other guest under QEMU that the runner's host has a description of.
    Guest(GuestSpec),
    /// A platform that only pretends, for tests of everything around it.
    Fake(FakeSpec),
}

/// The kinds of platform, without their parameters.
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
    /// Every kind, in the order they are shown.
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

    /// The word that configuration files and reports use.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
        f.pad(self.word())
    }
}

impl PlatformSpec {
    /// Which kind of platform this is.
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

/// A process of the host, in its own process group and, where allowed, its own cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeSpec {}

/// A container of an engine with Docker's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerSpec {
    /// Whose engine.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: Engine,
    /// What the containers are connected to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: ContainerNetwork,
    /// Where the engine listens; `None`: where the runner's environment says, else at the engine's usual place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<EngineSocket>,
    /// The engine's name for what runs its containers, e.g. `runsc` or `crun`; `None`: the engine's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeName>,
    /// `true`: the endpoint is a port published on the host (through docker-proxy or NAT), which other machines can reach.
    /// `false`: the container's own address on the bridge, reachable from the host and over a route to it.
    pub publish: bool,
    /// An image that the engine already has; `None` builds one FROM scratch out of the static workload binary.
    pub image: Option<String>,
}

/// A container of LXC, on the runner's bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LxcSpec {}

/// An engine with Docker's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Docker's own, at the runner's `DOCKER_HOST` or `/var/run/docker.sock`.
    #[default]
    Docker,
    /// Podman's service, at the runner's `CONTAINER_HOST` or `/run/podman/podman.sock`.
    Podman,
}

/// What containers are connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerNetwork {
    /// The engine's own bridge.
    #[default]
    Engine,
    /// The runner's bridge, on which its guests are.
    Bridge,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A guest under QEMU, one a service. What it boots is described in a file of the runner's host, since kernels and images are that host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSpec {
    /// The name of the description, `<state>/guests/<guest>.toml` on the runner's host.
    pub guest: Name,
    /// What executes the guest's instructions.
    pub acceleration: Acceleration,
    /// How the guest is reached.
    pub network: GuestNetwork,
    /// Virtual CPUs of each guest; `None`: as many as the cpuset has, 1 without one.
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

/// What executes a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceleration {
    /// The processor, through KVM; refused where a guest does not come up with it.
    Kvm,
    /// QEMU's translator. Times and rates are not those of a machine with virtualisation.
    Tcg,
    /// KVM where a guest comes up with it, else QEMU's translator, which every report shows.
    Auto,
}

/// How a guest is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestNetwork {
    /// Over a tap device on a bridge of the runner's.
    Bridge(BridgeSpec),
    /// Through a port of the host that QEMU's user-mode network forwards; needs no privilege and is slow.
    User(UserNetSpec),
}

/// A tap device on a bridge of the runner's; the guest has a static address on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSpec {
    /// Whether the kernel's vhost-net moves the packets instead of QEMU.
    pub vhost: bool,
}

/// QEMU's user-mode network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserNetSpec {}

/// A platform that only pretends: it serves nothing, and fails where it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FakeSpec {
    /// Milliseconds that a start takes.
    pub start_ms: u64,
    /// Where it fails, if anywhere.
    pub fail: Option<FakeFailure>,
}

/// Where the fake platform fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FakeFailure {
    /// Its need is not met.
    Probe,
    /// The image cannot be prepared.
    Prepare,
    /// The service cannot be started.
    Start,
    /// The service starts and never answers.
    Ready,
    /// The service dies by itself soon after READY.
    Exit,
    /// Something is left behind after the stop.
    Teardown,
}
