//! The fixed set of raw figures in samples; each name includes the unit.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Whether a figure is cumulative or instantaneous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// Counts from the start of the sampled object; only differences are meaningful.
    Cumulative,
    /// The current value.
    Gauge,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $kind:ident,)*) => {
        /// A raw figure of a sample. `docs/metrics.md` lists the source of each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Counter {
            /// All counters, in column order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name on the wire and in files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The counter with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Whether it is cumulative.
            #[must_use]
            pub const fn kind(self) -> CounterKind {
                match self { $(Self::$variant => CounterKind::$kind,)* }
            }
        }
    };
}

counters! {
    /// CPU time, ns; for a process, the sum over its threads.
    CpuNs "cpu_ns" Cumulative,
    /// Time spent runnable but waiting for a CPU, ns.
    WaitNs "wait_ns" Cumulative,
    /// Number of times it was scheduled on a CPU.
    Timeslices "timeslices" Cumulative,
    /// Time in user mode, ns.
    UserNs "user_ns" Cumulative,
    /// Time in kernel mode, ns.
    SystemNs "system_ns" Cumulative,
    /// Time in user mode, clock ticks; includes guest time, and for the host excludes `nice`.
    UserTicks "user_ticks" Cumulative,
    /// Time in user mode at low priority, clock ticks.
    NiceTicks "nice_ticks" Cumulative,
    /// Time in kernel mode, clock ticks.
    SystemTicks "system_ticks" Cumulative,
    /// The part of user time spent running a guest, clock ticks.
    GuestTicks "guest_ticks" Cumulative,
    /// The part of nice time spent running a guest, clock ticks.
    GuestNiceTicks "guest_nice_ticks" Cumulative,
    /// User time of reaped children, clock ticks.
    ReapedUserTicks "reaped_user_ticks" Cumulative,
    /// System time of reaped children, clock ticks.
    ReapedSystemTicks "reaped_system_ticks" Cumulative,
    /// Idle time, clock ticks.
    IdleTicks "idle_ticks" Cumulative,
    /// Idle time with outstanding disk I/O, clock ticks.
    IowaitTicks "iowait_ticks" Cumulative,
    /// Time in interrupt handlers, clock ticks.
    IrqTicks "irq_ticks" Cumulative,
    /// Time in softirqs, clock ticks.
    SoftirqTicks "softirq_ticks" Cumulative,
    /// Time stolen by the hypervisor, clock ticks.
    StealTicks "steal_ticks" Cumulative,
    /// Delay by block I/O, clock ticks.
    BlockDelayTicks "block_delay_ticks" Cumulative,
    /// Elapsed periods of a CPU quota.
    Periods "periods" Cumulative,
    /// Periods in which the quota was used up.
    ThrottledPeriods "throttled_periods" Cumulative,
    /// Time throttled by the quota, ns.
    ThrottledNs "throttled_ns" Cumulative,
    /// Page faults that needed no disk access.
    MinorFaults "minor_faults" Cumulative,
    /// Page faults that needed disk access.
    MajorFaults "major_faults" Cumulative,
    /// Voluntary context switches.
    VoluntarySwitches "voluntary_switches" Cumulative,
    /// Involuntary context switches.
    InvoluntarySwitches "involuntary_switches" Cumulative,
    /// Context switches of the whole host.
    Switches "switches" Cumulative,
    /// Processes and threads created on the host.
    Forks "forks" Cumulative,
    /// `NET_RX` softirqs.
    NetRxSoftirqs "net_rx_softirqs" Cumulative,
    /// `NET_TX` softirqs.
    NetTxSoftirqs "net_tx_softirqs" Cumulative,
    /// Bytes read from block devices on its behalf.
    ReadBytes "read_bytes" Cumulative,
    /// Bytes written, or to be written, to block devices on its behalf.
    WrittenBytes "written_bytes" Cumulative,
    /// Open file descriptors.
    Fds "fds" Gauge,
    /// Threads.
    Threads "threads" Gauge,
    /// Processes.
    Processes "processes" Gauge,
    /// Resident memory; shared pages count in every process that maps them.
    RssBytes "rss_bytes" Gauge,
    /// Peak resident memory since its start.
    PeakRssBytes "peak_rss_bytes" Gauge,
    /// Virtual memory size.
    VirtualBytes "virtual_bytes" Gauge,
    /// Proportional set size: a page shared by n processes counts 1/n.
    PssBytes "pss_bytes" Gauge,
    /// The anonymous part of PSS.
    PssAnonBytes "pss_anon_bytes" Gauge,
    /// The file-backed part of PSS.
    PssFileBytes "pss_file_bytes" Gauge,
    /// The shared-memory part of PSS.
    PssShmemBytes "pss_shmem_bytes" Gauge,
    /// Unique set size: resident memory not shared with another process.
    PrivateBytes "private_bytes" Gauge,
    /// Resident memory shared with other processes.
    SharedBytes "shared_bytes" Gauge,
    /// Swapped-out memory.
    SwapBytes "swap_bytes" Gauge,
    /// Anonymous memory in transparent huge pages.
    HugeBytes "huge_bytes" Gauge,
    /// hugetlbfs memory, which RSS does not include.
    HugetlbBytes "hugetlb_bytes" Gauge,
    /// Page tables.
    PageTableBytes "page_table_bytes" Gauge,
    /// Memory charged to the cgroup; for the host, its total memory.
    MemoryBytes "memory_bytes" Gauge,
    /// Peak memory charged to the cgroup since its creation.
    PeakBytes "peak_bytes" Gauge,
    /// The memory limit of the cgroup.
    LimitBytes "limit_bytes" Gauge,
    /// Anonymous memory.
    AnonBytes "anon_bytes" Gauge,
    /// Page cache, including shared memory.
    FileBytes "file_bytes" Gauge,
    /// Shared memory and tmpfs, a part of the page cache.
    ShmemBytes "shmem_bytes" Gauge,
    /// Page cache on the active list.
    ActiveFileBytes "active_file_bytes" Gauge,
    /// Page cache on the inactive list, which is reclaimed first.
    InactiveFileBytes "inactive_file_bytes" Gauge,
    /// Kernel memory charged to it.
    KernelBytes "kernel_bytes" Gauge,
    /// Socket buffers.
    SockBytes "sock_bytes" Gauge,
    /// Slab memory, a part of kernel memory.
    SlabBytes "slab_bytes" Gauge,
    /// Unused memory.
    FreeBytes "free_bytes" Gauge,
    /// The kernel's estimate of memory available without swapping.
    AvailableBytes "available_bytes" Gauge,
    /// Block device buffers.
    BuffersBytes "buffers_bytes" Gauge,
    /// Page cache waiting to be written back.
    DirtyBytes "dirty_bytes" Gauge,
    /// Number of times the memory limit was hit.
    LimitHits "limit_hits" Cumulative,
    /// Processes killed by the OOM killer.
    OomKills "oom_kills" Cumulative,
    /// Memory assigned to a guest.
    GuestMemoryBytes "guest_memory_bytes" Gauge,
    /// Memory as shown by `docker stats`.
    ShownBytes "shown_bytes" Gauge,
    /// CPU pressure (PSI `some`), us.
    CpuSomeUs "cpu_some_us" Cumulative,
    /// Memory pressure (PSI `some`), us.
    MemorySomeUs "memory_some_us" Cumulative,
    /// Memory pressure (PSI `full`), us.
    MemoryFullUs "memory_full_us" Cumulative,
    /// I/O pressure (PSI `some`), us.
    IoSomeUs "io_some_us" Cumulative,
    /// I/O pressure (PSI `full`), us.
    IoFullUs "io_full_us" Cumulative,
    /// Bytes received.
    ReceivedBytes "received_bytes" Cumulative,
    /// Packets received.
    ReceivedPackets "received_packets" Cumulative,
    /// Packets received with errors.
    ReceiveErrors "receive_errors" Cumulative,
    /// Received packets that were dropped.
    ReceiveDrops "receive_drops" Cumulative,
    /// Bytes sent.
    SentBytes "sent_bytes" Cumulative,
    /// Packets sent.
    SentPackets "sent_packets" Cumulative,
    /// Packets that could not be sent.
    SendErrors "send_errors" Cumulative,
    /// Outgoing packets that were dropped.
    SendDrops "send_drops" Cumulative,
    /// Energy, uJ; the kernel's counter wraps at [`Counter::EnergyRangeUj`].
    EnergyUj "energy_uj" Cumulative,
    /// Value at which the energy counter wraps, uJ.
    EnergyRangeUj "energy_range_uj" Gauge,
    /// Online CPUs.
    Cpus "cpus" Gauge,
    /// 1: the kernel accounts interrupt time separately from the interrupted processes (`CONFIG_IRQ_TIME_ACCOUNTING`); 0: it does not.
    IrqApart "irq_apart" Gauge,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The figures of one sample. A figure that could not be read, or that does not apply, is absent, never 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(Vec<(Counter, u64)>);

impl Counters {
    /// Empty, with capacity for this many.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Sets a figure, replacing a previous value.
    pub fn put(&mut self, counter: Counter, value: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == counter) {
            Some((_, old)) => *old = value,
            None => self.0.push((counter, value)),
        }
    }

    /// Adds to a figure; an absent one counts as 0.
    pub fn add(&mut self, counter: Counter, value: u64) {
        self.put(counter, self.get(counter).unwrap_or(0).saturating_add(value));
    }

    /// A figure; `None`: absent.
    #[must_use]
    pub fn get(&self, counter: Counter) -> Option<u64> {
        self.0
            .iter()
            .find(|(known, _)| *known == counter)
            .map(|&(_, value)| value)
    }

    /// All figures present.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Number of figures.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Counter, u64)> for Counters {
    fn from_iter<I: IntoIterator<Item = (Counter, u64)>>(figures: I) -> Self {
        let mut counters = Self::default();
        for (counter, value) in figures {
            counters.put(counter, value);
        }
        counters
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (counter, value) in &self.0 {
            map.serialize_entry(counter.name(), value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Counters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Figures;

        impl<'de> Visitor<'de> for Figures {
            type Value = Counters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counters by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counters, A::Error> {
                let mut counters = Counters::default();
                while let Some((name, value)) = map.next_entry::<String, u64>()? {
                    let counter = Counter::from_name(&name);
                    let counter = counter.ok_or_else(|| A::Error::custom(format!("unknown counter {name}")))?;
                    counters.put(counter, value);
                }
                Ok(counters)
            }
        }

        deserializer.deserialize_map(Figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_names_are_unique() {
        for &counter in Counter::ALL {
            assert_eq!(Counter::from_name(counter.name()), Some(counter));
            let snake = counter.name().chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(snake, "{counter}");
        }
        let mut names: Vec<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
    }

    #[test]
    fn counters_round_trip_and_unknown_ones_are_refused() {
        let mut counters = Counters::default();
        counters.put(Counter::RssBytes, u64::MAX);
        counters.add(Counter::CpuNs, 3);
        counters.add(Counter::CpuNs, 4);
        let json = serde_json::to_string(&counters).unwrap();
        assert_eq!(json, format!("{{\"rss_bytes\":{},\"cpu_ns\":7}}", u64::MAX));
        assert_eq!(serde_json::from_str::<Counters>(&json).unwrap(), counters);
        for bad in ["{\"cpu\":1}", "{\"cpu_ns\":-1}", "{\"cpu_ns\":1.5}", "[]"] {
            assert!(serde_json::from_str::<Counters>(bad).is_err(), "{bad}");
        }
    }
}
