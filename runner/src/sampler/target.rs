//! What is to be sampled.

use std::sync::Arc;

use protocol::Name;

/// The processes that a round samples.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The services.
    pub services: Vec<Service>,
    /// What works for the platform; it stays the same over an attempt.
    pub platform: Arc<[Part]>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its processes now, the first first.
    pub pids: Vec<u32>,
    /// What is known of its guest; `None`: it is none.
    pub guest: Option<Guest>,
    /// The host's interface that carries it alone, such as a tap.
    pub interface: Option<String>,
}

/// A guest, as its hypervisor told of it.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// The threads that execute its CPUs.
    pub vcpus: Vec<u32>,
    /// The memory that it was given, bytes.
    pub memory_bytes: u64,
}

/// A process of the platform.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub name: Name,
    /// The service that it works for; `None`: for all.
    pub service: Option<Name>,
    /// The process.
    pub pid: u32,
}

impl Service {
    /// A service without a guest and without an interface of its own.
    #[must_use]
    pub const fn new(name: Name, pids: Vec<u32>) -> Self {
        Self {
            name,
            pids,
            guest: None,
            interface: None,
        }
    }
}
