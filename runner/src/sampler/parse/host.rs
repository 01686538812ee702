//! The files of the whole host, and of a network namespace.

use protocol::sample::{Counter, Counters};
use protocol::summary::HostUsage;

use super::cgroup::{cpu_pressure, io_pressure, memory_pressure};
use super::line::{Key, ParseError, Parser, decimal, keyed, lines, words};

/// The files below `/proc` with counters of the host.
pub const FILES: &[(&str, Parser)] = &[
    ("stat", stat),
    ("meminfo", meminfo),
    ("pressure/cpu", cpu_pressure),
    ("pressure/memory", memory_pressure),
    ("pressure/io", io_pressure),
];

/// The scheduler's statistics, on kernels with `CONFIG_SCHEDSTATS`.
pub const OF_SCHEDULER: (&str, Parser) = ("schedstat", schedstat);

/// All parsers of this module, for tests.
pub const EVERY: &[Parser] = &[stat, meminfo, schedstat];

/// The numbers in the first line of `/proc/stat`, in order.
const CPU: [Counter; 10] = [
    Counter::UserTicks,
    Counter::NiceTicks,
    Counter::SystemTicks,
    Counter::IdleTicks,
    Counter::IowaitTicks,
    Counter::IrqTicks,
    Counter::SoftirqTicks,
    Counter::StealTicks,
    Counter::GuestTicks,
    Counter::GuestNiceTicks,
];

/// Parses `/proc/stat`: the times of all CPUs together, the number of CPUs, context switches, new processes, soft interrupts of the network. User
/// time includes guest time. Idle and iowait may decrease by a tick.
///
/// # Errors
/// [`ParseError`] if its first line is truncated or malformed.
pub fn stat(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const FILE: &str = "/proc/stat";
    let first = lines(text).next().ok_or(ParseError::Short { file: FILE, field: 1 })?;
    let mut fields = words(first);
    if fields.next() != Some(b"cpu") {
        return Err(ParseError::Short { file: FILE, field: 1 });
    }
    for (field, (&counter, word)) in CPU.iter().zip(fields).enumerate() {
        let value = decimal(word).ok_or(ParseError::NotANumber { file: FILE, field })?;
        counters.put(counter, value);
    }
    if counters.get(Counter::StealTicks).is_none() {
        return Err(ParseError::Short { file: FILE, field: 8 });
    }
    keyed(
        text,
        &[("ctxt", Counter::Switches, 1), ("processes", Counter::Forks, 1)],
        counters,
    );
    let cpus = lines(text).filter(|line| is_cpu(line)).count() as u64;
    if cpus > 0 {
        counters.put(Counter::Cpus, cpus);
    }
    let softirq = lines(text).find_map(|line| line.strip_prefix(b"softirq "));
    // The columns are the total, HI, TIMER, NET_TX, NET_RX, ...
    let mut kinds = softirq.into_iter().flat_map(words).skip(3);
    for counter in [Counter::NetTxSoftirqs, Counter::NetRxSoftirqs] {
        if let Some(count) = kinds.next().and_then(decimal) {
            counters.put(counter, count);
        }
    }
    Ok(())
}

/// Parses `/proc/schedstat`: the time during which the CPUs ran tasks, the seventh number of each CPU (`Documentation/scheduler/sched-stats.rst`).
///
/// # Errors
/// [`ParseError`] if the line of a CPU is truncated.
pub fn schedstat(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const FILE: &str = "/proc/schedstat";
    const FIELD: usize = 7;
    let mut all = None;
    for line in lines(text).filter(|line| is_cpu(line)) {
        let word = words(line).nth(FIELD).ok_or(ParseError::Short {
            file: FILE,
            field: FIELD,
        })?;
        let ran = decimal(word).ok_or(ParseError::NotANumber {
            file: FILE,
            field: FIELD,
        })?;
        all = Some(all.unwrap_or(0_u64).saturating_add(ran));
    }
    if let Some(ran) = all {
        counters.put(Counter::CpuNs, ran);
    }
    Ok(())
}

/// Whether a line belongs to one CPU.
fn is_cpu(line: &[u8]) -> bool {
    line.strip_prefix(b"cpu")
        .is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// Parses `/proc/meminfo`.
///
/// # Errors
/// Never; missing figures are absent.
pub fn meminfo(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const KEYS: &[Key] = &[
        ("MemTotal", Counter::MemoryBytes, 1024),
        ("MemFree", Counter::FreeBytes, 1024),
        ("MemAvailable", Counter::AvailableBytes, 1024),
        ("Buffers", Counter::BuffersBytes, 1024),
        ("Cached", Counter::FileBytes, 1024),
        ("AnonPages", Counter::AnonBytes, 1024),
        ("Shmem", Counter::ShmemBytes, 1024),
        ("Active(file)", Counter::ActiveFileBytes, 1024),
        ("Inactive(file)", Counter::InactiveFileBytes, 1024),
        ("Dirty", Counter::DirtyBytes, 1024),
        ("Slab", Counter::SlabBytes, 1024),
        ("PageTables", Counter::PageTableBytes, 1024),
        ("Hugetlb", Counter::HugetlbBytes, 1024),
    ];
    keyed(text, KEYS, counters);
    let mut swap = Counters::default();
    let of_swap: [Key; 2] = [
        ("SwapTotal", Counter::MemoryBytes, 1024),
        ("SwapFree", Counter::FreeBytes, 1024),
    ];
    keyed(text, &of_swap, &mut swap);
    if let (Some(total), Some(free)) = (swap.get(Counter::MemoryBytes), swap.get(Counter::FreeBytes)) {
        counters.put(Counter::SwapBytes, total.saturating_sub(free));
    }
    Ok(())
}

/// Parses `/proc/net/dev`: the counters of every interface, by name.
#[must_use]
pub fn links(text: &[u8]) -> Vec<(String, Counters)> {
    // Eight numbers received, then eight sent; the first four of each are used.
    const COLUMNS: [(usize, Counter); 8] = [
        (0, Counter::ReceivedBytes),
        (1, Counter::ReceivedPackets),
        (2, Counter::ReceiveErrors),
        (3, Counter::ReceiveDrops),
        (8, Counter::SentBytes),
        (9, Counter::SentPackets),
        (10, Counter::SendErrors),
        (11, Counter::SendDrops),
    ];
    let one = |line: &[u8]| {
        let colon = line.iter().rposition(|&byte| byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?.trim().to_owned();
        let numbers: Vec<u64> = words(&line[colon + 1..]).map(decimal).collect::<Option<_>>()?;
        let figures = COLUMNS
            .iter()
            .map(|&(column, counter)| Some((counter, *numbers.get(column)?)));
        Some((name, figures.collect::<Option<Counters>>()?))
    };
    lines(text).filter_map(one).collect()
}

/// Parses the first line of `/proc/stat` for the SUMMARY.
///
/// # Errors
/// [`ParseError`] if it is truncated or malformed.
pub fn host(text: &[u8]) -> Result<HostUsage, ParseError> {
    let mut counters = Counters::default();
    stat(text, &mut counters)?;
    let get = |counter| counters.get(counter).unwrap_or(0);
    Ok(HostUsage {
        user_ticks: get(Counter::UserTicks) + get(Counter::NiceTicks),
        system_ticks: get(Counter::SystemTicks),
        idle_ticks: get(Counter::IdleTicks) + get(Counter::IowaitTicks),
        interrupt_ticks: get(Counter::IrqTicks) + get(Counter::SoftirqTicks),
        steal_ticks: get(Counter::StealTicks),
    })
}

/// The difference of two readings; a counter that decreased (idle may, by a tick) counts as unchanged.
#[must_use]
pub fn host_between(first: &HostUsage, last: &HostUsage) -> HostUsage {
    HostUsage {
        user_ticks: last.user_ticks.saturating_sub(first.user_ticks),
        system_ticks: last.system_ticks.saturating_sub(first.system_ticks),
        interrupt_ticks: last.interrupt_ticks.saturating_sub(first.interrupt_ticks),
        idle_ticks: last.idle_ticks.saturating_sub(first.idle_ticks),
        steal_ticks: last.steal_ticks.saturating_sub(first.steal_ticks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the format of Linux 6.18.
    const STAT: &[u8] =
        b"cpu  60995 1 18737 225935 1794 2 496 220 7 0\ncpu0 1 2 3\nintr 5 0 1\nctxt 1234\nbtime 1\nprocesses 99\n\
                          procs_running 4\nprocs_blocked 0\nsoftirq 100 0 13 22 16 18 0 1 9 7 14\n";

    #[test]
    fn schedstat_is_summed_over_the_cpus() {
        // Version 15, written by hand: no kernel at hand had this file.
        let text =
            b"version 15\ntimestamp 4295\ncpu0 0 0 0 0 0 0 1000 7 3\ndomain0 03 0 0 0\ncpu1 0 0 0 0 0 0 234 9 4\n";
        let mut counters = Counters::default();
        schedstat(text, &mut counters).unwrap();
        assert_eq!(counters.get(Counter::CpuNs), Some(1234));
        assert!(schedstat(b"cpu0 0 0 0\n", &mut Counters::default()).is_err());
        let mut none = Counters::default();
        schedstat(b"version 15\n", &mut none).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn the_host_is_parsed() {
        let expected = HostUsage {
            user_ticks: 60_996,
            system_ticks: 18_737,
            interrupt_ticks: 498,
            idle_ticks: 227_729,
            steal_ticks: 220,
        };
        assert_eq!(host(STAT), Ok(expected.clone()));
        assert!(host(&STAT[..20]).is_err());
        let later = HostUsage {
            user_ticks: 61_000,
            idle_ticks: 0,
            ..expected.clone()
        };
        let between = host_between(&expected, &later);
        assert_eq!((between.user_ticks, between.idle_ticks), (4, 0));
        let mut counters = Counters::default();
        stat(STAT, &mut counters).unwrap();
        for (counter, value) in [
            (Counter::GuestTicks, 7),
            (Counter::Switches, 1234),
            (Counter::Forks, 99),
            (Counter::NetTxSoftirqs, 22),
            (Counter::NetRxSoftirqs, 16),
        ] {
            assert_eq!(counters.get(counter), Some(value), "{counter}");
        }
    }

    #[test]
    fn a_kernel_without_guest_times_is_accepted_and_one_without_steal_rejected() {
        assert_eq!(host(b"cpu  1 2 3 4 5 6 7 8\n").unwrap().steal_ticks, 8);
        assert!(host(b"cpu  1 2 3 4\n").is_err() && host(b"cpux 1 2 3 4 5 6 7 8\n").is_err());
    }

    #[test]
    fn swap_is_the_used_part() {
        let text = b"MemTotal:        8000 kB\nMemFree:         1000 kB\nMemAvailable:    3000 kB\nBuffers: 5 kB\nCached: 2000 kB\n\
                     SwapCached: 7 kB\nSwapTotal:  100 kB\nSwapFree:   60 kB\nActive(file): 9 kB\nDirty: 1 kB\n";
        let mut counters = Counters::default();
        meminfo(text, &mut counters).unwrap();
        for (counter, kib) in [
            (Counter::MemoryBytes, 8000),
            (Counter::FreeBytes, 1000),
            (Counter::AvailableBytes, 3000),
            (Counter::FileBytes, 2000),
            (Counter::SwapBytes, 40),
            (Counter::ActiveFileBytes, 9),
        ] {
            assert_eq!(counters.get(counter), Some(kib * 1024), "{counter}");
        }
    }

    #[test]
    fn interface_names_may_contain_colons() {
        let text = b"Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 100 2 0 0 0 0 0 0 100 2 0 0 0 0 0 0\neth0:1:12345678 20 1 3 0 0 0 0 9 8 7 6 0 0 0 0\n  cut: 1 2 3\n";
        let links = links(text);
        let names: Vec<&str> = links.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0:1"]);
        let alias = &links[1].1;
        assert_eq!(alias.get(Counter::ReceivedBytes), Some(12_345_678));
        assert_eq!(alias.get(Counter::ReceiveDrops), Some(3));
        assert_eq!(alias.get(Counter::SendDrops), Some(6));
    }
}
