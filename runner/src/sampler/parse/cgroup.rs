//! The files of a cgroup, by version.

use protocol::sample::{Counter, Counters};

use super::line::{Key, ParseError, Parser, decimal, keyed, lines, single, words};

/// A file of a cgroup.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Version 1: the controller whose hierarchy it is in. Version 2 has one hierarchy.
    pub controller: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it is read at every tick.
    pub quick: bool,
    /// Its parser.
    pub parse: Parser,
}

const fn file(controller: &'static str, name: &'static str, quick: bool, parse: Parser) -> File {
    File {
        controller,
        name,
        quick,
        parse,
    }
}

/// The files of version 1. `memory.kmem.tcp` counts only where a limit was set.
pub const V1: &[File] = &[
    file("cpuacct", "cpuacct.usage", true, usage),
    file("cpuacct", "cpuacct.usage_user", true, usage_user),
    file("cpuacct", "cpuacct.usage_sys", true, usage_system),
    file("cpu", "cpu.stat", false, cpu_stat_v1),
    file("memory", "memory.usage_in_bytes", true, memory),
    file("memory", "memory.max_usage_in_bytes", false, peak),
    file("memory", "memory.limit_in_bytes", false, limit),
    file("memory", "memory.failcnt", false, limit_hits),
    file("memory", "memory.oom_control", false, oom_control),
    file("memory", "memory.stat", false, memory_stat_v1),
    file("memory", "memory.kmem.usage_in_bytes", false, kernel),
    file("memory", "memory.kmem.tcp.usage_in_bytes", false, sock),
    file("pids", "pids.current", false, threads),
    file("blkio", "blkio.throttle.io_service_bytes_recursive", false, blkio),
    file("hugetlb", "hugetlb.2MB.usage_in_bytes", false, hugetlb),
    file("hugetlb", "hugetlb.1GB.usage_in_bytes", false, hugetlb),
];

/// The files of version 2. `memory.stat` has `kernel` since Linux 5.18.
pub const V2: &[File] = &[
    file("", "cpu.stat", true, cpu_stat_v2),
    file("", "memory.current", true, memory),
    file("", "memory.peak", false, peak),
    file("", "memory.max", false, limit),
    file("", "memory.events", false, memory_events),
    file("", "memory.stat", false, memory_stat_v2),
    file("", "memory.swap.current", false, swap),
    file("", "pids.current", false, threads),
    file("", "io.stat", false, io_stat),
    file("", "hugetlb.2MB.current", false, hugetlb),
    file("", "hugetlb.1GB.current", false, hugetlb),
    file("", "cpu.pressure", false, cpu_pressure),
    file("", "memory.pressure", false, memory_pressure),
    file("", "io.pressure", false, io_pressure),
];

/// All parsers of this module, for tests.
pub const EVERY: &[Parser] = &[
    usage,
    cpu_stat_v1,
    cpu_stat_v2,
    oom_control,
    memory_stat_v1,
    memory_stat_v2,
    memory_events,
    blkio,
    io_stat,
    hugetlb,
    cpu_pressure,
    memory_pressure,
    io_pressure,
];

macro_rules! singles {
    ($($name:ident $counter:ident)*) => {
        $(fn $name(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
            single(text, Counter::$counter, counters)
        })*
    };
}

singles! {
    usage CpuNs
    usage_user UserNs
    usage_system SystemNs
    memory MemoryBytes
    peak PeakBytes
    limit LimitBytes
    limit_hits LimitHits
    kernel KernelBytes
    sock SockBytes
    swap SwapBytes
    threads Threads
}

macro_rules! keyed_files {
    ($($name:ident [$($key:literal $counter:ident $factor:literal,)*])*) => {
        $(fn $name(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
            const KEYS: &[Key] = &[$(($key, Counter::$counter, $factor),)*];
            keyed(text, KEYS, counters);
            Ok(())
        })*
    };
}

keyed_files! {
    cpu_stat_v1 [
        "nr_periods" Periods 1,
        "nr_throttled" ThrottledPeriods 1,
        "throttled_time" ThrottledNs 1,
    ]
    cpu_stat_v2 [
        "usage_usec" CpuNs 1000,
        "user_usec" UserNs 1000,
        "system_usec" SystemNs 1000,
        "nr_periods" Periods 1,
        "nr_throttled" ThrottledPeriods 1,
        "throttled_usec" ThrottledNs 1000,
    ]
    oom_control [
        "oom_kill" OomKills 1,
    ]
    memory_events [
        "max" LimitHits 1,
        "oom_kill" OomKills 1,
    ]
    memory_stat_v1 [
        "total_rss" AnonBytes 1,
        "total_cache" FileBytes 1,
        "total_shmem" ShmemBytes 1,
        "total_active_file" ActiveFileBytes 1,
        "total_inactive_file" InactiveFileBytes 1,
        "total_dirty" DirtyBytes 1,
        "total_swap" SwapBytes 1,
        "total_rss_huge" HugeBytes 1,
    ]
    memory_stat_v2 [
        "anon" AnonBytes 1,
        "file" FileBytes 1,
        "kernel" KernelBytes 1,
        "sock" SockBytes 1,
        "shmem" ShmemBytes 1,
        "slab" SlabBytes 1,
        "pagetables" PageTableBytes 1,
        "active_file" ActiveFileBytes 1,
        "inactive_file" InactiveFileBytes 1,
        "file_dirty" DirtyBytes 1,
        "anon_thp" HugeBytes 1,
    ]
}

/// The sizes of huge pages, each in a file of its own, add up.
fn hugetlb(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    let mut one = Counters::default();
    single(text, Counter::HugetlbBytes, &mut one)?;
    counters.add(Counter::HugetlbBytes, one.get(Counter::HugetlbBytes).unwrap_or(0));
    Ok(())
}

/// Version 1: lines like `8:0 Read 4096`; the last line is the total and has no device.
fn blkio(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    for line in lines(text) {
        let mut words = words(line).skip(1);
        if let (Some(what), Some(bytes)) = (words.next(), words.next().and_then(decimal)) {
            match what {
                b"Read" => counters.add(Counter::ReadBytes, bytes),
                b"Write" => counters.add(Counter::WrittenBytes, bytes),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Version 2: lines like `8:0 rbytes=4096 wbytes=0 rios=1 ...`.
fn io_stat(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    for word in lines(text).flat_map(words) {
        if let Some(bytes) = word.strip_prefix(b"rbytes=").and_then(decimal) {
            counters.add(Counter::ReadBytes, bytes);
        } else if let Some(bytes) = word.strip_prefix(b"wbytes=").and_then(decimal) {
            counters.add(Counter::WrittenBytes, bytes);
        }
    }
    Ok(())
}

/// Parses pressure stall information: `some avg10=.. avg60=.. avg300=.. total=<us>`, and a line `full` for memory and I/O.
pub(super) fn pressure(text: &[u8], some: Counter, full: Option<Counter>, counters: &mut Counters) {
    for line in lines(text) {
        let mut words = words(line);
        let counter = match words.next() {
            Some(b"some") => Some(some),
            Some(b"full") => full,
            _ => None,
        };
        let total = words.find_map(|word| word.strip_prefix(b"total=").and_then(decimal));
        if let (Some(counter), Some(total)) = (counter, total) {
            counters.put(counter, total);
        }
    }
}

pub(super) fn cpu_pressure(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    pressure(text, Counter::CpuSomeUs, None, counters);
    Ok(())
}

pub(super) fn memory_pressure(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    pressure(text, Counter::MemorySomeUs, Some(Counter::MemoryFullUs), counters);
    Ok(())
}

pub(super) fn io_pressure(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    pressure(text, Counter::IoSomeUs, Some(Counter::IoFullUs), counters);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[File], name: &str, text: &str) -> Vec<(Counter, u64)> {
        let mut counters = Counters::default();
        let file = files.iter().find(|file| file.name == name).unwrap();
        (file.parse)(text.as_bytes(), &mut counters).unwrap();
        counters.iter().collect()
    }

    #[test]
    fn version_1_is_parsed() {
        use Counter::*;
        assert_eq!(read(V1, "cpuacct.usage", "987654321\n"), [(CpuNs, 987_654_321)]);
        let text = "nr_periods 12\nnr_throttled 3\nthrottled_time 4500000\nnr_bursts 0\nburst_time 0\n";
        assert_eq!(
            read(V1, "cpu.stat", text),
            [(Periods, 12), (ThrottledPeriods, 3), (ThrottledNs, 4_500_000)]
        );
        let text = "cache 1\nrss 2\ninactive_file 3\nhierarchical_memory_limit 9223372036854771712\ntotal_cache 8192\ntotal_rss 4096\n\
                    total_inactive_file 5\n";
        assert_eq!(
            read(V1, "memory.stat", text),
            [(FileBytes, 8192), (AnonBytes, 4096), (InactiveFileBytes, 5)]
        );
        let text = "8:16 Read 4096\n8:16 Write 0\n8:16 Sync 0\n8:16 Total 4096\n8:0 Read 1\n8:0 Write 7\nTotal 4104\n";
        assert_eq!(
            read(V1, "blkio.throttle.io_service_bytes_recursive", text),
            [(ReadBytes, 4097), (WrittenBytes, 7)]
        );
        assert_eq!(
            read(
                V1,
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
            ),
            [(OomKills, 2)]
        );
    }

    #[test]
    fn version_2_is_parsed() {
        use Counter::*;
        let text = "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 0\nnr_throttled 0\n\
                    throttled_usec 0\nnr_bursts 0\nburst_usec 0\n";
        assert_eq!(
            read(V2, "cpu.stat", text)[..3],
            [(CpuNs, 1_500_000), (UserNs, 1_000_000), (SystemNs, 500_000)]
        );
        let text = "anon 4096\nfile 8192\nkernel 100\nkernel_stack 16\npagetables 32\nsock 64\nshmem 0\ninactive_anon 1\ninactive_file 7\nslab 9\n";
        let figures = read(V2, "memory.stat", text);
        for figure in [
            (AnonBytes, 4096),
            (FileBytes, 8192),
            (KernelBytes, 100),
            (SockBytes, 64),
            (InactiveFileBytes, 7),
        ] {
            assert!(figures.contains(&figure), "{figure:?}");
        }
        assert_eq!(read(V2, "memory.max", "max\n"), []);
        let text = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(read(V2, "memory.events", text), [(LimitHits, 12), (OomKills, 1)]);
        let text =
            "8:0 rbytes=4096 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n253:0 \n259:0 rbytes=1 wbytes=2 rios=1 wios=1\n";
        assert_eq!(read(V2, "io.stat", text), [(ReadBytes, 4097), (WrittenBytes, 3)]);
        let text =
            "some avg10=0.12 avg60=0.00 avg300=0.00 total=4711\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=17\n";
        assert_eq!(
            read(V2, "memory.pressure", text),
            [(MemorySomeUs, 4711), (MemoryFullUs, 17)]
        );
        assert_eq!(read(V2, "cpu.pressure", text), [(CpuSomeUs, 4711)]);
    }

    #[test]
    fn huge_pages_of_all_sizes_add_up() {
        let mut counters = Counters::default();
        hugetlb(b"2097152\n", &mut counters).unwrap();
        hugetlb(b"1073741824\n", &mut counters).unwrap();
        assert_eq!(counters.get(Counter::HugetlbBytes), Some(1_075_838_976));
    }

    #[test]
    fn a_truncated_file_yields_its_complete_lines() {
        let text = "usage_usec 1500\nuser_usec 10";
        assert_eq!(read(V2, "cpu.stat", text), [(Counter::CpuNs, 1_500_000)]);
    }
}
