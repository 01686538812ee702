//! What is counted: one closed list of raw figures, each with its unit in its name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Whether a figure only grows, or is a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It counts from the beginning of what is sampled: only differences mean something.
    Total,
    /// It is what it is at the moment.
    Now,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $kind:ident,)*) => {
        /// A raw figure of a sample. Where it comes from, file by file: `docs/metrics.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Counter {
            /// All of them, in the order of columns.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name on the wire and in files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The counter of a name.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Whether it only grows.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

counters! {
    /// Time on a CPU, ns; of a process the sum of its threads.
    CpuNs "cpu_ns" Total,
    /// Time that was ready to run and waited for a CPU, ns.
    WaitNs "wait_ns" Total,
    /// How often it was put on a CPU.
    Timeslices "timeslices" Total,
    /// Time in user mode, ns.
    UserNs "user_ns" Total,
    /// Time in the kernel, ns.
    SystemNs "system_ns" Total,
    /// Time in user mode, clock ticks; a guest's time is in it, and on the host `nice` is not.
    UserTicks "user_ticks" Total,
    /// Time in user mode at low priority, clock ticks.
    NiceTicks "nice_ticks" Total,
    /// Time in the kernel, clock ticks.
    SystemTicks "system_ticks" Total,
    /// The part of the user time that a guest had, clock ticks.
    GuestTicks "guest_ticks" Total,
    /// The part of the nice time that a guest had, clock ticks.
    GuestNiceTicks "guest_nice_ticks" Total,
    /// User time of children that have ended and were waited for, clock ticks.
    ReapedUserTicks "reaped_user_ticks" Total,
    /// System time of children that have ended and were waited for, clock ticks.
    ReapedSystemTicks "reaped_system_ticks" Total,
    /// Time without work, clock ticks.
    IdleTicks "idle_ticks" Total,
    /// Time without work while a disk was waited for, clock ticks.
    IowaitTicks "iowait_ticks" Total,
    /// Time in interrupt handlers, clock ticks.
    IrqTicks "irq_ticks" Total,
    /// Time in soft interrupts, clock ticks.
    SoftirqTicks "softirq_ticks" Total,
    /// Time that the hypervisor below took, clock ticks.
    StealTicks "steal_ticks" Total,
    /// Time that block devices were waited for, clock ticks.
    BlockDelayTicks "block_delay_ticks" Total,
    /// Periods of a CPU quota that have passed.
    Periods "periods" Total,
    /// Periods in which the quota was used up.
    ThrottledPeriods "throttled_periods" Total,
    /// Time that the quota kept it from running, ns.
    ThrottledNs "throttled_ns" Total,
    /// Page faults without a disk.
    MinorFaults "minor_faults" Total,
    /// Page faults with a disk.
    MajorFaults "major_faults" Total,
    /// Context switches of its own will.
    VoluntarySwitches "voluntary_switches" Total,
    /// Context switches against its will.
    InvoluntarySwitches "involuntary_switches" Total,
    /// All context switches of the host.
    Switches "switches" Total,
    /// Processes and threads that the host has made.
    Forks "forks" Total,
    /// Soft interrupts for received packets.
    NetRxSoftirqs "net_rx_softirqs" Total,
    /// Soft interrupts for sent packets.
    NetTxSoftirqs "net_tx_softirqs" Total,
    /// Bytes that block devices were read for it.
    ReadBytes "read_bytes" Total,
    /// Bytes that block devices were, or will be, written for it.
    WrittenBytes "written_bytes" Total,
    /// Open file descriptors.
    Fds "fds" Now,
    /// Threads.
    Threads "threads" Now,
    /// Processes.
    Processes "processes" Now,
    /// Resident memory; shared pages count in every process.
    RssBytes "rss_bytes" Now,
    /// The highest resident memory since its start.
    PeakRssBytes "peak_rss_bytes" Now,
    /// Address space.
    VirtualBytes "virtual_bytes" Now,
    /// Resident memory in which a page shared by n processes counts 1/n.
    PssBytes "pss_bytes" Now,
    /// The anonymous part of it.
    PssAnonBytes "pss_anon_bytes" Now,
    /// The part of it that are pages of files.
    PssFileBytes "pss_file_bytes" Now,
    /// The part of it that is shared memory.
    PssShmemBytes "pss_shmem_bytes" Now,
    /// Resident memory that no other process has: what would be free without it.
    PrivateBytes "private_bytes" Now,
    /// Resident memory that others have, too.
    SharedBytes "shared_bytes" Now,
    /// Memory on a swap device.
    SwapBytes "swap_bytes" Now,
    /// Anonymous memory in transparent huge pages.
    HugeBytes "huge_bytes" Now,
    /// Memory of hugetlbfs, which is not in the resident memory.
    HugetlbBytes "hugetlb_bytes" Now,
    /// Page tables.
    PageTableBytes "page_table_bytes" Now,
    /// All memory that is charged to the group; of the host, all that it has.
    MemoryBytes "memory_bytes" Now,
    /// The highest of that since its making.
    PeakBytes "peak_bytes" Now,
    /// The most that may be charged.
    LimitBytes "limit_bytes" Now,
    /// Anonymous memory.
    AnonBytes "anon_bytes" Now,
    /// Page cache, shared memory included.
    FileBytes "file_bytes" Now,
    /// Shared memory and tmpfs, a part of the page cache.
    ShmemBytes "shmem_bytes" Now,
    /// Page cache that was used lately.
    ActiveFileBytes "active_file_bytes" Now,
    /// Page cache that was not used lately and goes first.
    InactiveFileBytes "inactive_file_bytes" Now,
    /// Memory of the kernel for it.
    KernelBytes "kernel_bytes" Now,
    /// Buffers of sockets.
    SockBytes "sock_bytes" Now,
    /// Slabs, a part of the kernel's memory.
    SlabBytes "slab_bytes" Now,
    /// Memory that nothing uses.
    FreeBytes "free_bytes" Now,
    /// What the kernel believes can be had without swapping.
    AvailableBytes "available_bytes" Now,
    /// Blocks of devices in memory.
    BuffersBytes "buffers_bytes" Now,
    /// Page cache that waits to be written.
    DirtyBytes "dirty_bytes" Now,
    /// How often the memory limit was reached.
    LimitHits "limit_hits" Total,
    /// How many of its processes the kernel has killed for memory.
    OomKills "oom_kills" Total,
    /// The memory that a guest was given.
    GuestMemoryBytes "guest_memory_bytes" Now,
    /// The memory that `docker stats` shows.
    ShownBytes "shown_bytes" Now,
    /// Time in which some task waited for a CPU, us.
    CpuSomeUs "cpu_some_us" Total,
    /// Time in which some task waited for memory, us.
    MemorySomeUs "memory_some_us" Total,
    /// Time in which all tasks waited for memory, us.
    MemoryFullUs "memory_full_us" Total,
    /// Time in which some task waited for a disk, us.
    IoSomeUs "io_some_us" Total,
    /// Time in which all tasks waited for a disk, us.
    IoFullUs "io_full_us" Total,
    /// Bytes that came in.
    ReceivedBytes "received_bytes" Total,
    /// Packets that came in.
    ReceivedPackets "received_packets" Total,
    /// Packets that came in damaged.
    ReceiveErrors "receive_errors" Total,
    /// Packets that came in and were dropped.
    ReceiveDrops "receive_drops" Total,
    /// Bytes that went out.
    SentBytes "sent_bytes" Total,
    /// Packets that went out.
    SentPackets "sent_packets" Total,
    /// Packets that could not go out.
    SendErrors "send_errors" Total,
    /// Packets that were to go out and were dropped.
    SendDrops "send_drops" Total,
    /// Energy, uJ; the kernel's counter begins anew at [`Counter::EnergyRangeUj`].
    EnergyUj "energy_uj" Total,
    /// Where the energy counter begins anew, uJ.
    EnergyRangeUj "energy_range_uj" Now,
    /// CPUs that are online.
    Cpus "cpus" Now,
    /// 1: the kernel keeps the time of interrupts apart from that of the processes that they interrupt; 0: it does not.
    IrqApart "irq_apart" Now,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The figures of one sample. What could not be read, or does not exist for what was sampled, is absent; nothing is ever 0 for want of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(Vec<(Counter, u64)>);

impl Counters {
    /// None yet, with room for so many.
    #[must_use]
    pub fn with_capacity(room: usize) -> Self {
        Self(Vec::with_capacity(room))
    }

    /// Sets a figure; one that is there is replaced.
    pub fn put(&mut self, counter: Counter, value: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == counter) {
            Some((_, old)) => *old = value,
            None => self.0.push((counter, value)),
        }
    }

    /// Adds to a figure; one that is not there begins at 0.
    pub fn add(&mut self, counter: Counter, value: u64) {
        self.put(counter, self.get(counter).unwrap_or(0).saturating_add(value));
    }

    /// A figure; `None`: not known.
    #[must_use]
    pub fn get(&self, counter: Counter) -> Option<u64> {
        self.0
            .iter()
            .find(|(known, _)| *known == counter)
            .map(|&(_, value)| value)
    }

    /// All figures that are there.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
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
                    let counter = Counter::of_name(&name);
                    let counter = counter.ok_or_else(|| A::Error::custom(format!("no counter is called {name}")))?;
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
    fn every_counter_has_a_name_of_its_own_with_its_unit() {
        for &counter in Counter::ALL {
            assert_eq!(Counter::of_name(counter.name()), Some(counter));
            let snake = counter.name().chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(snake, "{counter}");
        }
        let mut names: Vec<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
    }

    #[test]
    fn counters_survive_json_and_a_strange_one_is_refused() {
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
