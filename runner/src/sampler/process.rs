//! One process and its threads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::kept::{Kept, Read};
use super::parse::{self, Stat};

/// Thread files that stay open, a process; those of further threads are opened for every reading, so that a service of thousands of
/// threads does not use up the runner's files.
const KEPT_THREADS: usize = 128;

/// A process that is sampled.
#[derive(Debug)]
pub struct Process {
    folder: PathBuf,
    stat: Kept,
    threads: BTreeMap<u32, Thread>,
    /// What threads that have ended had used when they were last seen, ns.
    ended_threads_ns: u64,
}

#[derive(Debug)]
struct Thread {
    file: Option<Kept>,
    cpu_ns: u64,
    /// Whether the last listing still had it.
    listed: bool,
}

/// The counters of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// `/proc/PID/stat`.
    pub stat: Stat,
    /// Time on a CPU of all its threads, ns; `None` where the kernel does not tell.
    pub cpu_ns: Option<u64>,
}

impl Process {
    /// Finds a process below a root that is `/proc` but in tests; `None`: it is gone.
    ///
    /// # Errors
    /// What is not "gone", such as too many open files.
    pub fn find(root: &Path, pid: u32) -> io::Result<Option<Self>> {
        let folder = root.join(pid.to_string());
        let stat = Kept::open(&folder.join("stat"))?;
        Ok(stat.map(|stat| Self {
            folder,
            stat,
            threads: BTreeMap::new(),
            ended_threads_ns: 0,
        }))
    }

    /// Reads its counters; `None`: it has ended, though it may still wait to be collected.
    ///
    /// # Errors
    /// What is not "gone"; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<Counters>> {
        let Read::Bytes(bytes) = self.stat.read(buffer)? else {
            return Ok(None);
        };
        let stat = parse::stat(&buffer[..bytes]).map_err(invalid)?;
        if stat.is_dead {
            return Ok(None);
        }
        let cpu_ns = self.cpu_ns(buffer)?;
        // A kernel that does not keep schedstat says 0 for ever.
        let cpu_ns = cpu_ns.filter(|&ns| ns > 0 || stat.user_ticks + stat.system_ticks == 0);
        Ok(Some(Counters { stat, cpu_ns }))
    }

    /// The sum over all threads, those that have ended included, so that it never falls; `None`: this kernel has no schedstat.
    fn cpu_ns(&mut self, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        self.list_threads();
        let mut open = self.threads.values().filter(|thread| thread.file.is_some()).count();
        let mut told = self.ended_threads_ns > 0;
        for (tid, thread) in &mut self.threads {
            let opened;
            let file = match &thread.file {
                Some(file) => file,
                None => {
                    let path = self.folder.join(format!("task/{tid}/schedstat"));
                    let Some(file) = Kept::open(&path)? else { continue };
                    if open < KEPT_THREADS {
                        open += 1;
                        thread.file.insert(file)
                    } else {
                        opened = file;
                        &opened
                    }
                }
            };
            if let Read::Bytes(bytes) = file.read(buffer)? {
                thread.cpu_ns = parse::schedstat(&buffer[..bytes]).map_err(invalid)?;
                told = true;
            }
        }
        let living: u64 = self.threads.values().map(|thread| thread.cpu_ns).sum();
        Ok(told.then_some(living + self.ended_threads_ns))
    }

    /// Brings the list of threads up to date. A listing that fails keeps the old one: the process is ending.
    fn list_threads(&mut self) {
        let Ok(listing) = fs::read_dir(self.folder.join("task")) else {
            return;
        };
        for thread in self.threads.values_mut() {
            thread.listed = false;
        }
        let tids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        for tid in tids {
            let fresh = || Thread {
                file: None,
                cpu_ns: 0,
                listed: true,
            };
            self.threads.entry(tid).or_insert_with(fresh).listed = true;
        }
        let ended = &mut self.ended_threads_ns;
        self.threads.retain(|_, thread| {
            *ended += if thread.listed { 0 } else { thread.cpu_ns };
            thread.listed
        });
    }
}

fn invalid(error: parse::ParseError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) S 1 1 1 0 -1 4194304 102 0 0 0 70 30 0 0 20 0 1 0 500 3133440 365 0\n";

    /// A process as recorded files.
    fn recorded(threads: &[(u32, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("7");
        fs::create_dir_all(folder.join("task")).unwrap();
        fs::write(folder.join("stat"), STAT).unwrap();
        for (tid, text) in threads {
            write_thread(&root, *tid, text);
        }
        root
    }

    fn write_thread(root: &tempfile::TempDir, tid: u32, text: &str) {
        let folder = root.path().join(format!("7/task/{tid}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("schedstat"), text).unwrap();
    }

    fn read(process: &mut Process) -> io::Result<Option<Counters>> {
        process.read(&mut [0; 2048])
    }

    #[test]
    fn threads_come_and_go_and_their_sum_never_falls() {
        let root = recorded(&[(7, "1000 1 1\n"), (8, "200 1 1\n")]);
        let mut process = Process::find(root.path(), 7).unwrap().unwrap();
        let first = read(&mut process).unwrap().unwrap();
        assert_eq!((first.cpu_ns, first.stat.user_ticks), (Some(1200), 70));
        write_thread(&root, 9, "30 1 1\n");
        fs::remove_dir_all(root.path().join("7/task/8")).unwrap();
        assert_eq!(read(&mut process).unwrap().unwrap().cpu_ns, Some(1230));
        fs::remove_dir_all(root.path().join("7/task/9")).unwrap();
        assert_eq!(read(&mut process).unwrap().unwrap().cpu_ns, Some(1230));
    }

    #[test]
    fn a_kernel_without_schedstat_says_nothing_instead_of_zero() {
        let mut process = Process::find(recorded(&[(7, "0 0 0\n")]).path(), 7).unwrap().unwrap();
        assert_eq!(read(&mut process).unwrap().unwrap().cpu_ns, None);
        let mut process = Process::find(recorded(&[]).path(), 7).unwrap().unwrap();
        assert_eq!(read(&mut process).unwrap().unwrap().cpu_ns, None);
    }

    #[test]
    fn a_vanished_process_is_a_value_and_a_torn_text_an_error() {
        let root = recorded(&[(7, "1 1 1\n")]);
        assert!(Process::find(root.path(), 8).unwrap().is_none());
        let mut process = Process::find(root.path(), 7).unwrap().unwrap();
        fs::write(root.path().join("7/stat"), &STAT[..30]).unwrap();
        assert_eq!(read(&mut process).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::write(root.path().join("7/stat"), STAT.replace(" S ", " Z ")).unwrap();
        assert_eq!(read(&mut process).unwrap(), None);
        fs::write(root.path().join("7/stat"), "").unwrap();
        assert_eq!(read(&mut process).unwrap(), None);
    }

    #[test]
    fn more_threads_than_files_are_kept_are_all_summed() {
        let threads: Vec<(u32, &str)> = (1..=300).map(|tid| (tid, "10 1 1\n")).collect();
        let root = recorded(&threads);
        let mut process = Process::find(root.path(), 7).unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(read(&mut process).unwrap().unwrap().cpu_ns, Some(3000));
        }
        assert_eq!(
            process.threads.values().filter(|t| t.file.is_some()).count(),
            KEPT_THREADS
        );
    }

    #[test]
    fn this_very_process_is_read() {
        let mut process = Process::find(Path::new("/proc"), std::process::id()).unwrap().unwrap();
        let counters = read(&mut process).unwrap().unwrap();
        assert!(counters.stat.rss_pages > 0 && counters.stat.start_ticks > 0);
    }
}
