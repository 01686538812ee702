//! One process: CPU and resident memory at every tick, all its counters now and then, its page tables at checkpoints.
//!
//! Measured on Linux 6.18, a file that is open: `schedstat` of a thread 0.6 us, `statm` 1.2, `io` 1.2, `stat` 4, `status` 7, `smaps_rollup`
//! from 30 us for a small process to milliseconds for a large one, whose memory map it locks. Opening costs more than reading, so files stay
//! open ([`super::files`]); and of a process that has not run since, what cannot have changed is not read again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters, Role};

use super::files::Slot;
use super::kept::{Kept, Read};
use super::parse::{self, Sched, Stat, process as texts};
use super::source::{Depth, Reader};
use super::threads::{Threads, Used};

/// A process that is sampled.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    folder: PathBuf,
    stat: Slot,
    statm: Slot,
    io: Slot,
    fds: Slot,
    threads: Threads,
    first: Stat,
    /// Whether this kernel tells nanoseconds of it.
    has_schedstat: bool,
    /// What was last read of all its counters but memory.
    last: Option<Last>,
}

/// What was read of a process, and what its threads had used just before.
#[derive(Debug)]
struct Last {
    sched: Sched,
    living: u64,
    counters: Counters,
}

impl Process {
    /// Finds a process below a root that is `/proc` but in tests; `None`: it is gone. `vcpus` are the threads of a guest's CPUs, and `None` where
    /// it is no QEMU.
    ///
    /// # Errors
    /// What is not "gone", such as too many open files; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn find(root: &Path, pid: u32, vcpus: Option<Vec<u32>>, reader: &mut Reader) -> io::Result<Option<Self>> {
        let folder = root.join(pid.to_string());
        let mut stat = Slot::default();
        let Some(first) = read_stat(&mut stat, &folder, reader)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pid,
            threads: Threads::of(&folder, vcpus),
            statm: Slot::default(),
            io: Slot::default(),
            fds: Slot::default(),
            folder,
            stat,
            first,
            has_schedstat: true,
            last: None,
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

    /// Reads its counters; `None`: it has ended, though it may still wait to be collected, or its PID names another one by now.
    ///
    /// # Errors
    /// What is not "gone"; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self, depth: Depth, reader: &mut Reader) -> io::Result<Option<Counters>> {
        let mut counters = Counters::with_capacity(if depth == Depth::Quick { 5 } else { 28 });
        let told = self.threads.read(depth, reader)?;
        let pages = self.pages(reader)?;
        if self.needs_stat(depth, told, pages) {
            let Some(stat) = read_stat(&mut self.stat, &self.folder, reader)? else {
                return Ok(None);
            };
            if stat.is_dead || stat.start_ticks != self.first.start_ticks {
                return Ok(None);
            }
            let pages = pages.unwrap_or(stat.rss_pages);
            counters.put(Counter::RssBytes, pages.saturating_mul(reader.page_bytes));
            stat.put(&mut counters);
            // A kernel that does not keep schedstat says 0 for ever.
            self.has_schedstat =
                told && (self.threads.used().sched.cpu_ns > 0 || stat.user_ticks + stat.system_ticks == 0);
        } else if let Some(pages) = pages {
            counters.put(Counter::RssBytes, pages.saturating_mul(reader.page_bytes));
        }
        if depth > Depth::Quick {
            self.details(depth, &mut counters, reader);
        }
        self.put_threads(depth, &mut counters);
        if depth == Depth::Checkpoint {
            self.walk(&mut counters, reader);
        }
        Ok(Some(counters))
    }

    /// What only a walk through its page tables tells, which can take milliseconds.
    pub fn walk(&self, counters: &mut Counters, reader: &mut Reader) {
        let of = format_args!("pid {}", self.pid);
        reader.once("status", &self.folder.join("status"), texts::status, &of, counters);
        let mut rollup = Counters::with_capacity(10);
        let path = self.folder.join("smaps_rollup");
        reader.once("smaps_rollup", &path, texts::smaps_rollup, &of, &mut rollup);
        rollup.iter().for_each(|(counter, value)| counters.put(counter, value));
    }

    /// Whether `stat` has to be read: for its figures, or to know that this is still the process.
    fn needs_stat(&self, depth: Depth, told: bool, pages: Option<u64>) -> bool {
        let is_kept = self.stat.is_kept() && self.statm.is_kept() && self.threads.are_kept();
        // A process without memory has ended, or is the kernel's own.
        let is_odd = pages.is_none_or(|pages| pages == 0) && !self.first.is_kernel;
        let is_wanted = depth == Depth::Checkpoint || (depth == Depth::Full && !self.has_slept());
        is_wanted || !is_kept || !told || !self.has_schedstat || is_odd
    }

    /// Whether none of its threads has run since all its counters were last read: they are the same then, for only what a process does itself
    /// changes them. Memory is another matter, and is read every time.
    fn has_slept(&self) -> bool {
        let used = self.threads.used();
        let as_before = |last: &Last| (last.sched, last.living) == (used.sched, used.living);
        used.sched.cpu_ns > 0 && self.last.as_ref().is_some_and(as_before)
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

    /// Adds what the files say that only a full reading needs; of a process that has slept, what they said before.
    fn details(&mut self, depth: Depth, counters: &mut Counters, reader: &mut Reader) {
        if depth == Depth::Full && self.has_slept() {
            let known = self.last.iter().flat_map(|last| last.counters.iter());
            known.for_each(|(counter, value)| counters.put(counter, value));
            return;
        }
        let (folder, of) = (&self.folder, format_args!("pid {}", self.pid));
        reader.slot(&mut self.io, || folder.join("io"), texts::io, ("io", &of), counters);
        match self.fds.with(
            || Kept::folder(&folder.join("fd")),
            reader,
            |fds, _| open_files(fds, folder),
        ) {
            Ok(Some(Some(count))) => counters.put(Counter::Fds, count),
            Ok(_) => {}
            Err(error) => reader.notes.unreadable("fd", &of, &error),
        }
        let used = self.threads.used();
        let fixed = counters.iter().filter(|(counter, _)| *counter != Counter::RssBytes);
        self.last = Some(Last {
            sched: used.sched,
            living: used.living,
            counters: fixed.collect(),
        });
    }

    /// Resident memory, pages; `None`: gone.
    fn pages(&mut self, reader: &mut Reader) -> io::Result<Option<u64>> {
        match self.statm.read(|| self.folder.join("statm"), reader)? {
            Read::Bytes(bytes) => match texts::statm(&reader.buffer[..bytes]) {
                Ok((_, resident)) => Ok(Some(resident)),
                Err(error) => Err(invalid(error)),
            },
            Read::Gone => Ok(None),
        }
    }
}

/// Reads `stat`; `None`: gone.
fn read_stat(file: &mut Slot, folder: &Path, reader: &mut Reader) -> io::Result<Option<Stat>> {
    match file.read(|| folder.join("stat"), reader)? {
        Read::Bytes(bytes) => parse::stat(&reader.buffer[..bytes]).map(Some).map_err(invalid),
        Read::Gone => Ok(None),
    }
}

/// How many files are open: since Linux 6.2 the size of the folder `fd`, before that the number of its entries. `None`: the process is gone.
fn open_files(fds: &Kept, process: &Path) -> io::Result<Option<u64>> {
    let Some(told) = fds.metadata()? else { return Ok(None) };
    if told.len() > 0 {
        return Ok(Some(told.len()));
    }
    // Whose files may not be seen shows none.
    match fs::read_dir(process.join("fd")) {
        Ok(entries) => Ok(Some(entries.count() as u64)),
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

    #[test]
    fn what_cannot_have_changed_is_not_read_again_but_memory_is() {
        let root = recorded(&[(7, "1000 20 3\n")]);
        let mut reader = Reader::new(4096);
        let mut process = Process::find(root.path(), 7, None, &mut reader).unwrap().unwrap();
        let mut read = |depth| {
            let counters = process.read(depth, &mut reader).unwrap().unwrap();
            let get = |counter| counters.get(counter).unwrap();
            (get(Counter::UserTicks), get(Counter::RssBytes) / 4096)
        };
        assert_eq!(read(Depth::Full), (70, 360));
        let put = |name: &str, text: &str| fs::write(root.path().join("7").join(name), text).unwrap();
        put("stat", &STAT.replace(" 70 ", " 71 "));
        put("statm", "765 361 1 1 0 1 0\n");
        assert_eq!(read(Depth::Full), (70, 361), "no thread has run");
        put("task/7/schedstat", "1001 20 4\n");
        assert_eq!(read(Depth::Full), (71, 361));
        put("stat", STAT);
        assert_eq!(read(Depth::Checkpoint), (70, 361), "checkpoints read everything");
    }

    #[test]
    fn a_pid_that_names_another_process_is_seen_without_files_that_stay_open() {
        let root = recorded(&[(7, "1000 20 3\n")]);
        let mut reader = Reader::new(4096);
        reader.files = crate::sampler::files::Budget::of(0);
        let mut process = Process::find(root.path(), 7, None, &mut reader).unwrap().unwrap();
        assert!(process.read(Depth::Quick, &mut reader).unwrap().is_some());
        fs::write(root.path().join("7/stat"), STAT.replace(" 500 ", " 501 ")).unwrap();
        assert_eq!(process.read(Depth::Quick, &mut reader).unwrap(), None);
    }

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
