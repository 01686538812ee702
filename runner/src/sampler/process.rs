//! One process: CPU time and resident memory at every tick, all counters now and then, page tables at checkpoints.
//!
//! Cost of reading an open file, measured on Linux 6.18: `schedstat` of a thread 0.6 us, `statm` 1.2, `io` 1.2, `stat` 4, `status` 7, `smaps_rollup`
//! from 30 us for a small process to milliseconds for a large one, whose memory map it locks. Opening costs more than reading, so files stay open
//! ([`super::reader`]). Counters that only change when a process runs are not read again if it has not run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters, Role};

use super::open_file::{OpenFile, Read};
use super::parse::{self, Sched, Stat, process as files};
use super::reader::{CachedFile, Depth, Reader};
use super::threads::{Threads, Used};

/// A process that is sampled.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    folder: PathBuf,
    stat: CachedFile,
    statm: CachedFile,
    io: CachedFile,
    fds: CachedFile,
    threads: Threads,
    first: Stat,
    /// Whether this kernel keeps `schedstat`.
    has_schedstat: bool,
    /// The last full read, without memory.
    last: Option<FullRead>,
}

/// The counters of a full read, and the usage of the threads just before it.
#[derive(Debug)]
struct FullRead {
    sched: Sched,
    alive: u64,
    counters: Counters,
}

impl Process {
    /// Finds a process below `/proc`, or a recorded one in tests; `None`: it is gone. `vcpus` are the threads that execute a guest's CPUs; `None`: it
    /// is not QEMU.
    ///
    /// # Errors
    /// Any error that does not mean "gone", such as too many open files; [`io::ErrorKind::InvalidData`] for a file that cannot be parsed.
    pub fn find(root: &Path, pid: u32, vcpus: Option<Vec<u32>>, reader: &mut Reader) -> io::Result<Option<Self>> {
        let folder = root.join(pid.to_string());
        let mut stat = CachedFile::default();
        let Some(first) = read_stat(&mut stat, &folder, reader)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pid,
            threads: Threads::of(&folder, vcpus),
            statm: CachedFile::default(),
            io: CachedFile::default(),
            fds: CachedFile::default(),
            folder,
            stat,
            first,
            has_schedstat: true,
            last: None,
        }))
    }

    /// Its start time, clock ticks after boot.
    #[must_use]
    pub const fn start_ticks(&self) -> u64 {
        self.first.start_ticks
    }

    /// The usage of its threads by role; empty if it is not QEMU.
    #[must_use]
    pub fn by_role(&self) -> std::collections::BTreeMap<Role, Used> {
        self.threads.by_role()
    }

    /// Reads its counters; `None`: it has ended, even if nobody has waited for it yet, or its PID belongs to another process now.
    ///
    /// # Errors
    /// Any error that does not mean "gone"; [`io::ErrorKind::InvalidData`] for a file that cannot be parsed.
    pub fn read(&mut self, depth: Depth, reader: &mut Reader) -> io::Result<Option<Counters>> {
        let mut counters = Counters::with_capacity(if depth == Depth::Quick { 5 } else { 28 });
        let has_times = self.threads.read(depth, reader)?;
        let pages = self.pages(reader)?;
        if self.needs_stat(depth, has_times, pages) {
            let Some(stat) = read_stat(&mut self.stat, &self.folder, reader)? else {
                return Ok(None);
            };
            if stat.is_dead || stat.start_ticks != self.first.start_ticks {
                return Ok(None);
            }
            let pages = pages.unwrap_or(stat.rss_pages);
            counters.put(Counter::RssBytes, pages.saturating_mul(reader.page_bytes));
            stat.put(&mut counters);
            // A kernel that does not keep schedstat reports 0 forever.
            self.has_schedstat =
                has_times && (self.threads.used().sched.cpu_ns > 0 || stat.user_ticks + stat.system_ticks == 0);
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

    /// Reads the counters that need a walk through its page tables, which can take milliseconds.
    pub fn walk(&self, counters: &mut Counters, reader: &mut Reader) {
        let of = format_args!("pid {}", self.pid);
        reader.read_once("status", &self.folder.join("status"), files::status, &of, counters);
        let mut rollup = Counters::with_capacity(10);
        let path = self.folder.join("smaps_rollup");
        reader.read_once("smaps_rollup", &path, files::smaps_rollup, &of, &mut rollup);
        rollup.iter().for_each(|(counter, value)| counters.put(counter, value));
    }

    /// Whether `stat` has to be read: for its figures, or to check that this is still the same process.
    fn needs_stat(&self, depth: Depth, has_times: bool, pages: Option<u64>) -> bool {
        let is_open = self.stat.is_open() && self.statm.is_open() && self.threads.are_open();
        // A process without memory has ended, or is a kernel thread.
        let is_odd = pages.is_none_or(|pages| pages == 0) && !self.first.is_kernel;
        let is_wanted = depth == Depth::Checkpoint || (depth == Depth::Full && !self.has_slept());
        is_wanted || !is_open || !has_times || !self.has_schedstat || is_odd
    }

    /// Whether none of its threads has run since the last full read. Its counters are unchanged then, since only running changes them. Memory may
    /// change all the same and is read every time.
    fn has_slept(&self) -> bool {
        let used = self.threads.used();
        let is_unchanged = |last: &FullRead| (last.sched, last.alive) == (used.sched, used.alive);
        used.sched.cpu_ns > 0 && self.last.as_ref().is_some_and(is_unchanged)
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

    /// Adds the counters of a full read; for a process that has slept, those of the last one.
    fn details(&mut self, depth: Depth, counters: &mut Counters, reader: &mut Reader) {
        if depth == Depth::Full && self.has_slept() {
            let known = self.last.iter().flat_map(|last| last.counters.iter());
            known.for_each(|(counter, value)| counters.put(counter, value));
            return;
        }
        let (folder, of) = (&self.folder, format_args!("pid {}", self.pid));
        reader.read_cached(&mut self.io, || folder.join("io"), files::io, ("io", &of), counters);
        match self.fds.with(
            || OpenFile::folder(&folder.join("fd")),
            reader,
            |fds, _| open_files(fds, folder),
        ) {
            Ok(Some(Some(count))) => counters.put(Counter::Fds, count),
            Ok(_) => {}
            Err(error) => reader.notes.unreadable("fd", &of, &error),
        }
        let used = self.threads.used();
        let fixed = counters.iter().filter(|(counter, _)| *counter != Counter::RssBytes);
        self.last = Some(FullRead {
            sched: used.sched,
            alive: used.alive,
            counters: fixed.collect(),
        });
    }

    /// Resident memory, pages; `None`: gone.
    fn pages(&mut self, reader: &mut Reader) -> io::Result<Option<u64>> {
        match self.statm.read(|| self.folder.join("statm"), reader)? {
            Read::Bytes(bytes) => match files::statm(&reader.buffer[..bytes]) {
                Ok((_, resident)) => Ok(Some(resident)),
                Err(error) => Err(invalid(error)),
            },
            Read::Gone => Ok(None),
        }
    }
}

/// Reads `stat`; `None`: gone.
fn read_stat(file: &mut CachedFile, folder: &Path, reader: &mut Reader) -> io::Result<Option<Stat>> {
    match file.read(|| folder.join("stat"), reader)? {
        Read::Bytes(bytes) => parse::stat(&reader.buffer[..bytes]).map(Some).map_err(invalid),
        Read::Gone => Ok(None),
    }
}

/// The number of open files: since Linux 6.2 the size of the folder `fd`, before that the number of its entries. `None`: the process is gone.
fn open_files(fds: &OpenFile, process: &Path) -> io::Result<Option<u64>> {
    let Some(metadata) = fds.metadata()? else {
        return Ok(None);
    };
    if metadata.len() > 0 {
        return Ok(Some(metadata.len()));
    }
    // Without permission, the folder looks empty.
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
    fn a_process_that_has_not_run_is_not_read_again_except_for_memory() {
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
    fn a_reused_pid_is_detected_even_without_open_files() {
        let root = recorded(&[(7, "1000 20 3\n")]);
        let mut reader = Reader::new(4096);
        reader.files = crate::sampler::reader::FileBudget::of(0);
        let mut process = Process::find(root.path(), 7, None, &mut reader).unwrap().unwrap();
        assert!(process.read(Depth::Quick, &mut reader).unwrap().is_some());
        fs::write(root.path().join("7/stat"), STAT.replace(" 500 ", " 501 ")).unwrap();
        assert_eq!(process.read(Depth::Quick, &mut reader).unwrap(), None);
    }

    const STAT: &str = "7 (a) b) S 1 1 1 0 -1 4194304 102 0 5 0 70 30 6 4 20 0 1 0 500 3133440 365 0\n";

    /// A process made of recorded files.
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
    fn a_quick_read_is_cpu_and_memory_and_a_full_read_everything() {
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
        assert_eq!(full.get(Counter::GuestTicks), None, "the line ends before this field");
    }

    #[test]
    fn without_schedstat_cpu_ns_is_absent_instead_of_zero() {
        for threads in [&[(7, "0 0 0\n")][..], &[]] {
            let mut process = find(&recorded(threads), 7).unwrap();
            for depth in [Depth::Full, Depth::Quick] {
                let counters = read(&mut process, depth).unwrap().unwrap();
                assert_eq!(counters.get(Counter::CpuNs), None);
                assert_eq!(
                    counters.get(Counter::SystemTicks),
                    Some(30),
                    "clock ticks are then read at every tick"
                );
            }
        }
    }

    #[test]
    fn a_vanished_process_is_a_value_and_a_truncated_file_an_error() {
        let root = recorded(&[(7, "1 1 1\n")]);
        assert!(find(&root, 8).is_none());
        let mut process = find(&root, 7).unwrap();
        fs::write(root.path().join("7/stat"), &STAT[..30]).unwrap();
        let error = read(&mut process, Depth::Full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        fs::write(root.path().join("7/stat"), STAT.replace(" S ", " Z ")).unwrap();
        assert_eq!(read(&mut process, Depth::Full).unwrap(), None);
        // A zombie has no memory, so a quick read detects it as well.
        fs::write(root.path().join("7/statm"), "0 0 0 0 0 0 0\n").unwrap();
        assert_eq!(read(&mut process, Depth::Quick).unwrap(), None);
        fs::write(root.path().join("7/stat"), "").unwrap();
        assert_eq!(read(&mut process, Depth::Full).unwrap(), None);
    }

    #[test]
    fn an_unreadable_file_is_noted_and_the_others_are_read() {
        use std::os::unix::fs::symlink;
        let root = recorded(&[(7, "1 1 1\n")]);
        // Root may read every file, so a folder, which nobody can read, stands for a file without permission.
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
    fn all_counters_of_this_process_are_read() {
        let mut reader = Reader::new(crate::facts::page_bytes());
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
}
