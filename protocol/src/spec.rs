//! What a RUN asks for: services, the platform they go on, and the limits they get.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{EngineSocket, RuntimeName};
use crate::ids::Name;
use crate::surroundings::Place;

/// Where services run. One variant a platform; what differs between platforms of a kind is data in its struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformSpec {
    /// A process of the host.
    Native(NativeSpec),
    /// A container of a Docker engine.
    Docker(DockerSpec),
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
    pub const ALL: [Self; 7] = [
        Self::Native,
        Self::Docker,
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

/// What executes a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceleration {
    /// The processor, through KVM; refused where a guest does not come up with it.
    Kvm,
    /// QEMU's translator. Times and rates are not those of a machine with virtualisation.
    Tcg,
    /// KVM where a guest comes up with it, else QEMU's translator, as a deviation that every report shows.
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

/// One process of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its name, unique in the deployment.
    pub name: Name,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Place::is_platform")]
    pub place: Place,
    /// The arguments of the `workload` program, e.g. `["tcp", "--listen", "{listen}"]`; `{listen}` becomes `address:port` as the platform has it.
    pub args: Vec<String>,
    /// The port that it listens on; `None`: on none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What counts as its first correct reply.
    pub ready: Probe,
}

/// What counts as a correct reply. An open port alone proves nothing where a forward or a proxy stands in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// An HTTP GET that is answered as expected.
    Http(HttpProbe),
    /// Its port takes a connection: enough for a process of the host, where nothing stands in front.
    Connects(ConnectsProbe),
    /// It was started, and its guest, if it is in one, is up by its console's word. For a service that listens nowhere: whether it works, the probe of one that needs it has to show.
    Started(StartedProbe),
    /// A packet of UDP that is answered as expected.
    Udp(UdpProbe),
}

impl Probe {
    /// What the probe, and so the service, speaks.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Http(_) | Self::Connects(_) | Self::Started(_) => Transport::Tcp,
        }
    }
}

/// What carries a service's requests: TCP and UDP have ports of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Packets.
    Udp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// The body of [`Probe::Connects`]: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectsProbe {}

/// The body of [`Probe::Started`]: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedProbe {}

/// An HTTP GET and its correct answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// The path, e.g. `/`.
    pub path: String,
    /// The only status that counts.
    pub status: u16,
    /// The length that the body must have, bytes; `None`: any.
    pub body_bytes: Option<u64>,
}

/// A packet of UDP and its correct answer. A packet may be lost, so it is sent again until the answer is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpProbe {
    /// The bytes of the packet.
    pub packet: String,
    /// The bytes of the answer, all of them.
    pub answer: String,
}

/// The limits that every service gets, whatever the platform: the fairness contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// The CPUs that the services may use, as the kernel writes such lists (`0-1,3`); `None`: all.
    pub cpuset: Option<CpuSet>,
    /// The NUMA nodes that their memory may come from, written like `cpuset`; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mems: Option<CpuSet>,
    /// The memory limit of each service, MiB; `None`: none.
    pub memory_mib: Option<u64>,
}

/// A list of CPUs as the kernel writes them, e.g. `0-1,3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuSet(Vec<u32>);

/// Why a text is not a [`CpuSet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a list of CPUs: write it like 0-1,3 (numbers below 4096)")]
pub struct BadCpuSet {
    /// The refused text.
    pub given: String,
}

impl CpuSet {
    /// The CPU numbers, ascending, each once.
    #[must_use]
    pub fn cpus(&self) -> &[u32] {
        &self.0
    }

    /// A set of these; `None`: they are none.
    #[must_use]
    pub fn of(mut cpus: Vec<u32>) -> Option<Self> {
        cpus.sort_unstable();
        cpus.dedup();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// What is in both, ascending.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Vec<u32> {
        self.0.iter().copied().filter(|cpu| other.0.contains(cpu)).collect()
    }
}

impl std::str::FromStr for CpuSet {
    type Err = BadCpuSet;

    fn from_str(text: &str) -> Result<Self, BadCpuSet> {
        let bad = || BadCpuSet {
            given: text.chars().take(80).collect(),
        };
        let number = |part: &str| part.parse::<u32>().ok().filter(|&n| n < 4096).ok_or_else(bad);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(bad());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

impl TryFrom<String> for CpuSet {
    type Error = BadCpuSet;

    fn try_from(text: String) -> Result<Self, BadCpuSet> {
        text.parse()
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_string()
    }
}

impl std::fmt::Display for CpuSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match run {
                [only] => write!(f, "{only}")?,
                [first, .., last] => write!(f, "{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// How the runner samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The distance of two samples on an absolute monotonic grid that begins at READY, milliseconds (100 to 10,000).
    pub interval_ms: u64,
    /// How long the whole host is measured just before the services are started, milliseconds; 0: not at all.
    #[serde(default)]
    pub idle_ms: u64,
}

impl Sampling {
    /// The interval as a duration.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// How long each phase may take on the runner, milliseconds. The controller keeps deadlines of its own, a little longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// Making the image, before the start.
    pub prepare_ms: u64,
    /// From the start of the first service to the first correct reply of the last.
    pub ready_ms: u64,
    /// Without a RENEW (or another command of the same controller) for so long, the runner ends the trial.
    pub lease_ms: u64,
    /// From asking a service to end to killing it.
    pub grace_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cpu_lists_are_read_as_the_kernel_writes_them() {
        let set: CpuSet = "3,0-1".parse().unwrap();
        assert_eq!(set.cpus(), [0, 1, 3]);
        assert_eq!(set.to_string(), "0-1,3");
        for bad in ["", "a", "1-", "-1", "2-1", "0,", "5000", "0-99999999"] {
            assert!(bad.parse::<CpuSet>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cpu_lists_survive_the_round_trip(mut cpus in proptest::collection::vec(0u32..64, 1..20)) {
            let text = cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let set: CpuSet = text.parse().unwrap();
            cpus.sort_unstable();
            cpus.dedup();
            prop_assert_eq!(set.cpus(), &cpus[..]);
            prop_assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
        }
    }
}
