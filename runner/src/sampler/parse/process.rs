//! The files of a process.
//!
//! The second field of `/proc/PID/stat` is the program's name in parentheses. The name may contain anything, including spaces, parentheses and line
//! breaks, so fields are counted from the *last* closing parenthesis.

use protocol::sample::{Counter, Counters};

use super::line::{Key, ParseError, Parser, decimal, keyed, words};

/// All parsers of this module, for tests.
pub const EVERY: &[Parser] = &[stat_into, status, switches, io, smaps_rollup];

/// The flag of kernel threads in field 9 of `stat` (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// `/proc/PID/stat`; field numbers are those of proc(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Whether it has ended and nobody has waited for it yet (field 3 is `Z` or `X`).
    pub is_dead: bool,
    /// Whether it is a kernel thread (field 9).
    pub is_kernel: bool,
    /// Its parent (field 4).
    pub parent: u32,
    /// Field 10.
    pub minor_faults: u64,
    /// Field 12.
    pub major_faults: u64,
    /// Field 14, clock ticks; includes guest time.
    pub user_ticks: u64,
    /// Field 15, clock ticks.
    pub system_ticks: u64,
    /// Field 16, clock ticks of children that were waited for.
    pub reaped_user_ticks: u64,
    /// Field 17, clock ticks of children that were waited for.
    pub reaped_system_ticks: u64,
    /// Field 20.
    pub threads: u64,
    /// Field 22, clock ticks after boot.
    pub start_ticks: u64,
    /// Field 23, bytes.
    pub virtual_bytes: u64,
    /// Field 24, pages. Since Linux 6.2 without the parts that are still in per-CPU counters: off by some hundred KiB.
    pub rss_pages: u64,
    /// Field 42, clock ticks; `None`: the line ends before.
    pub block_delay_ticks: Option<u64>,
    /// Field 43, clock ticks; `None`: the line ends before.
    pub guest_ticks: Option<u64>,
}

impl Stat {
    /// All CPU time, including children that were waited for, clock ticks.
    #[must_use]
    pub const fn all_ticks(&self) -> u64 {
        self.user_ticks
            .saturating_add(self.system_ticks)
            .saturating_add(self.reaped_user_ticks)
            .saturating_add(self.reaped_system_ticks)
    }

    /// Sets all counters except resident memory, which is more exact in `statm`.
    pub fn put(&self, counters: &mut Counters) {
        for (counter, value) in [
            (Counter::UserTicks, Some(self.user_ticks)),
            (Counter::SystemTicks, Some(self.system_ticks)),
            (Counter::GuestTicks, self.guest_ticks),
            (Counter::ReapedUserTicks, Some(self.reaped_user_ticks)),
            (Counter::ReapedSystemTicks, Some(self.reaped_system_ticks)),
            (Counter::BlockDelayTicks, self.block_delay_ticks),
            (Counter::MinorFaults, Some(self.minor_faults)),
            (Counter::MajorFaults, Some(self.major_faults)),
            (Counter::Threads, Some(self.threads)),
            (Counter::VirtualBytes, Some(self.virtual_bytes)),
        ] {
            if let Some(value) = value {
                counters.put(counter, value);
            }
        }
    }
}

/// Parses `/proc/PID/stat`.
///
/// # Errors
/// [`ParseError`] if it is truncated or malformed.
pub fn stat(text: &[u8]) -> Result<Stat, ParseError> {
    const FILE: &str = "stat";
    const LAST: usize = 43;
    let short = |field| ParseError::Short { file: FILE, field };
    let close = text.iter().rposition(|&byte| byte == b')').ok_or(short(2))?;
    // A field that is truncated would yield a wrong number, so the last one only counts if something follows.
    let rest = &text[close + 1..];
    let whole = rest.iter().rposition(u8::is_ascii_whitespace).map_or(0, |end| end + 1);
    let mut fields: [&[u8]; LAST + 1] = [&[]; LAST + 1];
    for (slot, word) in fields[3..].iter_mut().zip(words(&rest[..whole])) {
        *slot = word;
    }
    let count = |number: usize| match fields[number] {
        [] => Err(short(number)),
        word => decimal(word).ok_or(ParseError::NotANumber {
            file: FILE,
            field: number,
        }),
    };
    let state = fields[3];
    if state.is_empty() {
        return Err(short(3));
    }
    Ok(Stat {
        is_dead: matches!(state, b"Z" | b"X" | b"x"),
        is_kernel: count(9)? & KERNEL_THREAD != 0,
        parent: u32::try_from(count(4)?).unwrap_or(0),
        minor_faults: count(10)?,
        major_faults: count(12)?,
        user_ticks: count(14)?,
        system_ticks: count(15)?,
        // The kernel prints the times of children as signed numbers.
        reaped_user_ticks: count(16).unwrap_or(0),
        reaped_system_ticks: count(17).unwrap_or(0),
        threads: count(20)?,
        start_ticks: count(22)?,
        virtual_bytes: count(23)?,
        rss_pages: count(24)?,
        block_delay_ticks: count(42).ok(),
        guest_ticks: count(43).ok(),
    })
}

fn stat_into(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    stat(text).map(|stat| stat.put(counters))
}

/// The scheduler's times of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sched {
    /// Time on a CPU, ns.
    pub cpu_ns: u64,
    /// Time ready to run and waiting for a CPU, ns.
    pub wait_ns: u64,
    /// How often it was scheduled.
    pub timeslices: u64,
}

impl std::ops::AddAssign for Sched {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns = self.cpu_ns.saturating_add(other.cpu_ns);
        self.wait_ns = self.wait_ns.saturating_add(other.wait_ns);
        self.timeslices = self.timeslices.saturating_add(other.timeslices);
    }
}

impl Sched {
    /// Sets all three counters.
    pub fn put(&self, counters: &mut Counters) {
        counters.put(Counter::CpuNs, self.cpu_ns);
        counters.put(Counter::WaitNs, self.wait_ns);
        counters.put(Counter::Timeslices, self.timeslices);
    }
}

/// Parses `/proc/PID/task/TID/schedstat`.
///
/// # Errors
/// [`ParseError`] if it is truncated or malformed.
pub fn schedstat(text: &[u8]) -> Result<Sched, ParseError> {
    const FILE: &str = "schedstat";
    let whole = text
        .last()
        .is_some_and(u8::is_ascii_whitespace)
        .then_some(text)
        .ok_or(ParseError::Short { file: FILE, field: 3 })?;
    let mut words = words(whole);
    let mut count = |field| {
        let word = words.next().ok_or(ParseError::Short { file: FILE, field })?;
        decimal(word).ok_or(ParseError::NotANumber { file: FILE, field })
    };
    Ok(Sched {
        cpu_ns: count(1)?,
        wait_ns: count(2)?,
        timeslices: count(3)?,
    })
}

/// Parses the first two numbers of `/proc/PID/statm`: address space and resident memory, pages.
///
/// # Errors
/// [`ParseError`] if it is truncated or malformed.
pub fn statm(text: &[u8]) -> Result<(u64, u64), ParseError> {
    const FILE: &str = "statm";
    let mut fields = text.split_inclusive(|&byte| byte == b' ' || byte == b'\n');
    let mut count = |field| {
        let short = ParseError::Short { file: FILE, field };
        let (_, word) = fields
            .next()
            .and_then(<[u8]>::split_last)
            .filter(|(end, _)| end.is_ascii_whitespace())
            .ok_or(short)?;
        decimal(word).ok_or(ParseError::NotANumber { file: FILE, field })
    };
    Ok((count(1)?, count(2)?))
}

/// Parses what only `/proc/PID/status` has.
///
/// # Errors
/// Never; missing figures are absent.
pub fn status(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const KEYS: &[Key] = &[
        ("VmHWM", Counter::PeakRssBytes, 1024),
        ("VmPTE", Counter::PageTableBytes, 1024),
        ("VmSwap", Counter::SwapBytes, 1024),
        ("HugetlbPages", Counter::HugetlbBytes, 1024),
    ];
    keyed(text, KEYS, counters);
    Ok(())
}

/// Parses the context switches in the `status` of a thread.
///
/// # Errors
/// Never; missing figures are absent.
pub fn switches(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const KEYS: &[Key] = &[
        ("voluntary_ctxt_switches", Counter::VoluntarySwitches, 1),
        ("nonvoluntary_ctxt_switches", Counter::InvoluntarySwitches, 1),
    ];
    // They are the last lines of a long file.
    let tail = text.len().saturating_sub(96);
    keyed(&text[tail..], KEYS, counters);
    Ok(())
}

/// Parses `/proc/PID/io`: what was read from and written to devices, without the page cache.
///
/// # Errors
/// Never; missing figures are absent.
pub fn io(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const KEYS: &[Key] = &[
        ("read_bytes", Counter::ReadBytes, 1),
        ("write_bytes", Counter::WrittenBytes, 1),
    ];
    keyed(text, KEYS, counters);
    Ok(())
}

/// Parses `/proc/PID/smaps_rollup`, for which the kernel walks the page tables; exact to the page.
///
/// # Errors
/// Never; missing figures are absent.
pub fn smaps_rollup(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    const KEYS: &[Key] = &[
        ("Pss", Counter::PssBytes, 1024),
        ("Pss_Anon", Counter::PssAnonBytes, 1024),
        ("Pss_File", Counter::PssFileBytes, 1024),
        ("Pss_Shmem", Counter::PssShmemBytes, 1024),
        ("Private_Clean", Counter::PrivateBytes, 1024),
        ("Private_Dirty", Counter::PrivateBytes, 1024),
        ("Shared_Clean", Counter::SharedBytes, 1024),
        ("Shared_Dirty", Counter::SharedBytes, 1024),
        ("AnonHugePages", Counter::HugeBytes, 1024),
        ("Private_Hugetlb", Counter::HugetlbBytes, 1024),
        ("Shared_Hugetlb", Counter::HugetlbBytes, 1024),
        ("Swap", Counter::SwapBytes, 1024),
    ];
    keyed(text, KEYS, counters);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Linux 6.18.
    const RECORDED: &str = "25208 (cat) R 25198 25198 16669 0 -1 4194304 102 0 0 0 7 3 0 0 20 0 1 0 154736 3133440 365 18446744073709551615 94625376747520 94625376767401 140721598764064 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 94625376783408 94625376785024 94625666207744 140721598769657 140721598769677 140721598769677 140721598771179 0\n";

    const READ: Stat = Stat {
        is_dead: false,
        is_kernel: false,
        parent: 25198,
        minor_faults: 102,
        major_faults: 0,
        user_ticks: 7,
        system_ticks: 3,
        reaped_user_ticks: 0,
        reaped_system_ticks: 0,
        threads: 1,
        start_ticks: 154_736,
        virtual_bytes: 3_133_440,
        rss_pages: 365,
        block_delay_ticks: Some(0),
        guest_ticks: Some(0),
    };

    #[test]
    fn a_recorded_line_is_parsed() {
        assert_eq!(stat(RECORDED.as_bytes()), Ok(READ));
        assert!(stat(RECORDED.replace(" R ", " Z ").as_bytes()).unwrap().is_dead);
        let kernel = RECORDED.replace(" 4194304 ", " 69238880 ");
        assert!(stat(kernel.as_bytes()).unwrap().is_kernel);
    }

    #[test]
    fn names_may_contain_anything() {
        for name in ["a b", "a) R 1", "((", ") ) )", "x\ny) S 1 2 3\n", ""] {
            assert_eq!(stat(RECORDED.replace("cat", name).as_bytes()), Ok(READ), "{name:?}");
        }
    }

    #[test]
    fn a_truncated_line_is_an_error_never_a_smaller_number() {
        let needed = RECORDED.find(" 365 ").unwrap() + 5;
        for cut in 0..needed {
            assert!(stat(&RECORDED.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        for cut in needed..RECORDED.len() {
            let read = stat(&RECORDED.as_bytes()[..cut]).unwrap();
            let whole = Stat {
                block_delay_ticks: read.block_delay_ticks.or(Some(0)),
                guest_ticks: read.guest_ticks.or(Some(0)),
                ..read
            };
            assert_eq!(whole, READ, "cut at {cut}");
        }
    }

    #[test]
    fn schedstat_and_statm_are_parsed_or_rejected() {
        let sched = Sched {
            cpu_ns: 1_094_752,
            wait_ns: 17_421,
            timeslices: 5,
        };
        assert_eq!(schedstat(b"1094752 17421 5\n"), Ok(sched));
        for bad in [
            &b""[..],
            b"1094752",
            b"1094752 174",
            b"1094752 17421 5",
            b"x 1 2\n",
            b"1 2\n",
        ] {
            assert!(schedstat(bad).is_err(), "{bad:?}");
        }
        assert_eq!(statm(b"765 365 334 5 0 106 0\n"), Ok((765, 365)));
        for bad in [&b""[..], b"765", b"765 36", b"x 1\n", b" \n"] {
            assert!(statm(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn status_has_the_peak_and_the_switches() {
        let text = b"Name:\tVmHWM: 7 kB\nUmask:\t0022\nThreads:\t3\nVmHWM:\t    1460 kB\nVmPTE:\t      44 kB\nVmSwap:\t       0 kB\n\
                     HugetlbPages:\t    2048 kB\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let mut counters = Counters::default();
        status(text, &mut counters).unwrap();
        switches(text, &mut counters).unwrap();
        let expected = [
            (Counter::PeakRssBytes, 1460 * 1024),
            (Counter::PageTableBytes, 44 * 1024),
            (Counter::SwapBytes, 0),
            (Counter::HugetlbBytes, 2048 * 1024),
            (Counter::VoluntarySwitches, 12),
            (Counter::InvoluntarySwitches, 3),
        ];
        assert_eq!(counters.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn smaps_rollup_has_the_kinds_of_memory() {
        let text = b"55d0-7ffe ---p 00000000 00:00 0                          [rollup]\nRss:                1460 kB\n\
                     Pss:                 235 kB\nPss_Dirty:           112 kB\nPss_Anon:            108 kB\nPss_File:            127 kB\n\
                     Pss_Shmem:             0 kB\nShared_Clean:       1352 kB\nShared_Dirty:          1 kB\nPrivate_Clean:         0 kB\n\
                     Private_Dirty:       108 kB\nAnonHugePages:         0 kB\nShared_Hugetlb:     2048 kB\nPrivate_Hugetlb:    2048 kB\nSwap:                  0 kB\n";
        let mut counters = Counters::default();
        smaps_rollup(text, &mut counters).unwrap();
        assert_eq!(counters.get(Counter::PssBytes), Some(235 * 1024));
        assert_eq!(counters.get(Counter::SharedBytes), Some(1353 * 1024));
        assert_eq!(counters.get(Counter::HugetlbBytes), Some(4096 * 1024));
        assert_eq!(counters.get(Counter::RssBytes), None);
    }

    #[test]
    fn io_counts_devices_only() {
        let mut counters = Counters::default();
        io(
            b"rchar: 6976\nwchar: 1\nsyscr: 10\nsyscw: 0\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
            &mut counters,
        )
        .unwrap();
        assert_eq!(
            (counters.get(Counter::ReadBytes), counters.get(Counter::WrittenBytes)),
            (Some(4096), Some(8192))
        );
    }
}
