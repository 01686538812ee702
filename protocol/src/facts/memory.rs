//! The memory's settings.

use serde::{Deserialize, Serialize};

/// How memory is managed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryFacts {
    /// Transparent huge pages: `always`, `madvise` or `never` (`/sys/kernel/mm/transparent_hugepage/enabled`).
    pub thp: Option<String>,
    /// Whether equal pages are merged (`/sys/kernel/mm/ksm/run` is 1).
    pub ksm: Option<bool>,
    /// Swap space, bytes (`SwapTotal` of `/proc/meminfo`); 0: none.
    pub swap_bytes: Option<u64>,
    /// How readily the kernel swaps (`/proc/sys/vm/swappiness`).
    pub swappiness: Option<u32>,
    /// Whether more may be promised than there is, 0 to 2 (`/proc/sys/vm/overcommit_memory`).
    pub overcommit: Option<u8>,
    /// Huge pages set apart (`HugePages_Total` of `/proc/meminfo`).
    pub huge_pages: Option<u64>,
}
