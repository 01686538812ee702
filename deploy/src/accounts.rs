//! What a deployment says of itself to whoever accounts for it: processes that work for the platform, guests' threads and memory, interfaces.

use protocol::ids::Name;

/// A process that works for the platform and not for a service alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is, e.g. `dockerd`.
    pub name: Name,
    /// The service that it works for; `None`: for all, and perhaps for strangers.
    pub service: Option<Name>,
    /// The process.
    pub pid: u32,
}

/// A guest as its hypervisor tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestAccount {
    /// The threads of the host that execute its CPUs.
    pub vcpus: Vec<u32>,
    /// The memory that it was given, bytes.
    pub memory_bytes: u64,
}
