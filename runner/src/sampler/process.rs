//! One process: CPU and resident memory at every tick, all its counters now and then, its page tables at checkpoints.
//!
//! Measured on Linux 6.18, a file that is open: `schedstat` of a thread 0.6 us, `statm` 1.2, `io` 1.2, `stat` 4, `status` 7, `smaps_rollup`
//! from 30 us for a small process to milliseconds for a large one, whose memory map it locks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters, Role};

use super::kept::{Kept, Read};
use super::parse::{self, Stat, process as texts};
use super::source::{Depth, Reader};
use super::threads::{Threads, Used};

/// A process that is sampled.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    folder: PathBuf,
    stat: Kept,
    statm: Option<Kept>,
    threads: Threads,
    first: Stat,
    /// Whether this kernel tells nanoseconds of it.
    has_schedstat: bool,
}

impl Process {
    /// Finds a process below a root that is `/proc` but in tests; `None`: it is gone. `vcpus` are the threads of a guest's CPUs, and `None` where
    /// it is no QEMU.
    ///
    /// # Errors
    /// What is not "gone", such as too many open files; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn find(root: &Path, pid: u32, vcpus: Option<Vec<u32>>, reader: &mut Reader) -> io::Result<Option<Self>> {
        let folder = root.join(pid.to_string());
        let Some(stat) = Kept::open(&folder.join("stat"))? else {
            return Ok(None);
        };
        let Some(first) = read_stat(&stat, reader)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pid,
            threads: Threads::of(&folder, vcpus),
            statm: Kept::open(&folder.join("statm"))?,
            folder,
            stat,
            first,
            has_schedstat: true,
        }))
    }

    /// Its start, clock ticks after boot.
    #[must_use]
    pub const fn start_ticks(&self) -> u64 {
        self.first.start_ticks
    }

    /// What its threads have used, by what they do; empty where it is no QEMU.
    #[must_use]
    pub fn by_role(&self) -> std::collections::BTreeMap<Role, Used> {
        self.threads.by_role()
    }

    /// Reads its counters; `None`: it has ended, though it may still wait to be collected.
    ///
    /// # Errors
    /// What is not "gone"; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self, depth: Depth, reader: &mut Reader) -> io::Result<Option<Counters>> {
        let mut counters = Counters::with_capacity(if depth == Depth::Quick { 5 } else { 24 });
        let told = self.threads.read(depth, reader)?;
        let pages = self.pages(reader)?;
        // A process without memory has ended, or is the kernel's own.
        let is_odd = pages.is_none_or(|pages| pages == 0) && !self.first.is_kernel;
        if depth > Depth::Quick || !told || !self.has_schedstat || is_odd {
            let Some(stat) = read_stat(&self.stat, reader)? else {
                return Ok(None);
            };
            if stat.is_dead {
                return Ok(None);
            }
            stat.put(&mut counters);
            let pages = pages.unwrap_or(stat.rss_pages);
            counters.put(Counter::RssBytes, pages.saturating_mul(reader.page_bytes));
            // A kernel that does not keep schedstat says 0 for ever.
            self.has_schedstat =
                told && (self.threads.used().sched.cpu_ns > 0 || stat.user_ticks + stat.system_ticks == 0);
        } else if let Some(pages) = pages {
            counters.put(Counter::RssBytes, pages.saturating_mul(reader.page_bytes));
        }
        self.put_threads(depth, &mut counters);
        if depth > Depth::Quick {
            self.read_details(reader, &mut counters);
        }
        if depth == Depth::Checkpoint {
            let (path, of) = (self.folder.join("smaps_rollup"), format!("pid {}", self.pid));
            reader.once("status", &self.folder.join("status"), texts::status, &of, &mut counters);
            let mut rollup = Counters::default();
            reader.once("smaps_rollup", &path, texts::smaps_rollup, &of, &mut rollup);
            rollup.iter().for_each(|(counter, value)| counters.put(counter, value));
        }
        Ok(Some(counters))
    }

    fn put_threads(&self, depth: Depth, counters: &mut Counters) {
        let used = self.threads.used();
        if self.has_schedstat {
            used.sched.put(counters);
        }
        if depth > Depth::Quick {
            counters.put(Counter::VoluntarySwitches, used.voluntary);
            counters.put(Counter::InvoluntarySwitches, used.involuntary);
        }
    }

    fn read_details(&self, reader: &mut Reader, counters: &mut Counters) {
        let of = format_args!("pid {}", self.pid);
        reader.once("io", &self.folder.join("io"), texts::io, &of, counters);
        match open_files(&self.folder.join("fd")) {
            Ok(Some(count)) => counters.put(Counter::Fds, count),
            Ok(None) => {}
            Err(error) => reader.notes.unreadable("fd", &of, &error),
        }
    }

    /// Resident memory, pages; `None`: gone.
    fn pages(&self, reader: &mut Reader) -> io::Result<Option<u64>> {
        let Some(statm) = &self.statm else { return Ok(None) };
        match statm.read(&mut reader.buffer)? {
            Read::Bytes(bytes) => match texts::statm(&reader.buffer[..bytes]) {
                Ok((_, resident)) => Ok(Some(resident)),
                Err(error) => Err(invalid(error)),
            },
            Read::Gone => Ok(None),
        }
    }
}

/// Reads `stat`; `None`: gone.
fn read_stat(file: &Kept, reader: &mut Reader) -> io::Result<Option<Stat>> {
    match file.read(&mut reader.buffer)? {
        Read::Bytes(bytes) => parse::stat(&reader.buffer[..bytes]).map(Some).map_err(invalid),
        Read::Gone => Ok(None),
    }
}

/// How many files are open: since Linux 6.2 the size of the folder, before that the number of its entries. `None`: the process is gone.
fn open_files(folder: &Path) -> io::Result<Option<u64>> {
    let counted = fs::metadata(folder).and_then(|told| match told.len() {
        // Whose files may not be seen shows none.
        0 => fs::read_dir(folder).map(|entries| entries.count() as u64),
        count => Ok(count),
    });
    match counted {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn invalid(error: parse::ParseError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) S 1 1 1 0 -1 4194304 102 0 5 0 70 30 6 4 20 0 1 0 500 3133440 365 0\n";

    /// A process as recorded files.
    fn recorded(threads: &[(u32, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("7");
        fs::create_dir_all(folder.join("task")).unwrap();
        fs::write(folder.join("stat"), STAT).unwrap();
        fs::write(folder.join("statm"), "765 360 1 1 0 1 0\n").unwrap();
        for (tid, text) in threads {
            let folder = folder.join(format!("task/{tid}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("schedstat"), text).unwrap();
        }
        root
    }

    fn find(root: &tempfile::TempDir, pid: u32) -> Option<Process> {
        Process::find(root.path(), pid, None, &mut Reader::new(4096)).unwrap()
    }

    fn read(process: &mut Process, depth: Depth) -> io::Result<Option<Counters>> {
        process.read(depth, &mut Reader::new(4096))
    }

    #[test]
    fn a_quick_look_is_cpu_and_memory_and_a_full_one_everything() {
        let root = recorded(&[(7, "1000 20 3\n"), (8, "200 1 1\n")]);
        let mut process = find(&root, 7).unwrap();
        let quick = read(&mut process, Depth::Quick).unwrap().unwrap();
        let expected = [
            (Counter::RssBytes, 360 * 4096),
            (Counter::CpuNs, 1200),
            (Counter::WaitNs, 21),
            (Counter::Timeslices, 4),
        ];
        assert_eq!(quick.iter().collect::<Vec<_>>(), expected);
        let full = read(&mut process, Depth::Full).unwrap().unwrap();
        for (counter, value) in [
            (Counter::UserTicks, 70),
            (Counter::ReapedSystemTicks, 4),
            (Counter::MinorFaults, 102),
            (Counter::MajorFaults, 5),
            (Counter::RssBytes, 360 * 4096),
        ] {
            assert_eq!(full.get(counter), Some(value), "{counter}");
        }
        assert_eq!(full.get(Counter::GuestTicks), None, "the text ends before it");
    }

    #[test]
    fn a_kernel_without_schedstat_says_nothing_instead_of_zero() {
        for threads in [&[(7, "0 0 0\n")][..], &[]] {
            let mut process = find(&recorded(threads), 7).unwrap();
            for depth in [Depth::Full, Depth::Quick] {
                let counters = read(&mut process, depth).unwrap().unwrap();
                assert_eq!(counters.get(Counter::CpuNs), None);
                assert_eq!(
                    counters.get(Counter::SystemTicks),
                    Some(30),
                    "the ticks count then, at every tick"
                );
            }
        }
    }

    #[test]
    fn a_vanished_process_is_a_value_and_a_torn_text_an_error() {
        let root = recorded(&[(7, "1 1 1\n")]);
        assert!(find(&root, 8).is_none());
        let mut process = find(&root, 7).unwrap();
        fs::write(root.path().join("7/stat"), &STAT[..30]).unwrap();
        let error = read(&mut process, Depth::Full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        fs::write(root.path().join("7/stat"), STAT.replace(" S ", " Z ")).unwrap();
        assert_eq!(read(&mut process, Depth::Full).unwrap(), None);
        // A zombie has no memory: a quick look finds out, too.
        fs::write(root.path().join("7/statm"), "0 0 0 0 0 0 0\n").unwrap();
        assert_eq!(read(&mut process, Depth::Quick).unwrap(), None);
        fs::write(root.path().join("7/stat"), "").unwrap();
        assert_eq!(read(&mut process, Depth::Full).unwrap(), None);
    }

    #[test]
    fn what_may_not_be_read_is_noted_and_the_rest_is_there() {
        use std::os::unix::fs::symlink;
        let root = recorded(&[(7, "1 1 1\n")]);
        // Root may read anything, so a file that gives an error to everybody stands for one that is denied: a folder.
        fs::create_dir(root.path().join("7/io")).unwrap();
        symlink("/proc/self/mem", root.path().join("7/smaps_rollup")).unwrap();
        let mut reader = Reader::new(4096);
        let mut process = Process::find(root.path(), 7, None, &mut reader).unwrap().unwrap();
        for _ in 0..2 {
            let counters = process.read(Depth::Checkpoint, &mut reader).unwrap().unwrap();
            assert_eq!(counters.get(Counter::UserTicks), Some(70));
            assert_eq!(
                (counters.get(Counter::ReadBytes), counters.get(Counter::PssBytes)),
                (None, None)
            );
        }
        let notes = reader.notes.into_lines();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("io of pid 7") && notes[1].starts_with("smaps_rollup of pid 7"));
    }

    #[test]
    fn this_very_process_is_read_to_the_last_figure() {
        let mut reader = Reader::new(parse_page());
        let mut process = Process::find(Path::new("/proc"), std::process::id(), None, &mut reader)
            .unwrap()
            .unwrap();
        let counters = process.read(Depth::Checkpoint, &mut reader).unwrap().unwrap();
        assert!(process.start_ticks() > 0);
        for counter in [
            Counter::RssBytes,
            Counter::PeakRssBytes,
            Counter::PssBytes,
            Counter::PssAnonBytes,
            Counter::Fds,
            Counter::Threads,
            Counter::MinorFaults,
            Counter::VoluntarySwitches,
            Counter::VirtualBytes,
        ] {
            assert!(counters.get(counter).is_some_and(|value| value > 0), "{counter}");
        }
        let get = |counter| counters.get(counter).unwrap();
        assert!(get(Counter::PssBytes) <= get(Counter::RssBytes).max(get(Counter::PeakRssBytes)) + (4 << 20));
    }

    fn parse_page() -> u64 {
        crate::facts::page_bytes()
    }
}
