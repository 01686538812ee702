//! What a sampler samples; fixed at READY.

use deploy::{GuestInfo, PlatformProcess, Processes};
use protocol::Name;

/// What a round samples.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The services.
    pub services: Vec<Service>,
    /// The processes that work for the platform.
    pub platform: Vec<PlatformProcess>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Where its processes are listed. Every round lists them again.
    pub processes: Processes,
    /// What its hypervisor reports; `None`: not a guest.
    pub guest: Option<GuestInfo>,
    /// The host's interface that carries this service alone, such as a tap device.
    pub interface: Option<String>,
}

impl Service {
    /// A service of these processes and no others, without a guest or an interface of its own.
    #[must_use]
    pub const fn new(name: Name, pids: Vec<u32>) -> Self {
        Self {
            name,
            processes: Processes::Fixed(pids),
            guest: None,
            interface: None,
        }
    }
}
