//! One round over all services.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use protocol::Name;
use protocol::sample::Sample;
use tracing::warn;

use super::process::Process;

/// The processes of each service, as the driver sees them now.
pub type Targets = Vec<(Name, Vec<u32>)>;

/// What a round remembers of the one before.
#[derive(Debug)]
pub struct Rounds {
    root: PathBuf,
    page_bytes: u64,
    open: BTreeMap<u32, Process>,
    buffer: Vec<u8>,
    /// Whether an unreadable process was told of already.
    complained: bool,
}

impl Rounds {
    /// Rounds below a root that is `/proc` but in tests.
    #[must_use]
    pub fn new(root: PathBuf, page_bytes: u64) -> Self {
        Self {
            root,
            page_bytes,
            open: BTreeMap::new(),
            buffer: vec![0; 4096],
            complained: false,
        }
    }

    /// Samples every process once. Those that have vanished are left out; `offset_ns` is asked for just before each is read.
    pub fn sample(&mut self, targets: &Targets, offset_ns: impl Fn() -> u64) -> Vec<Sample> {
        let wanted: BTreeSet<u32> = targets.iter().flat_map(|(_, pids)| pids.iter().copied()).collect();
        self.open.retain(|pid, _| wanted.contains(pid));
        let pairs = targets
            .iter()
            .flat_map(|(name, pids)| pids.iter().map(move |&pid| (name, pid)));
        pairs
            .filter_map(|(service, pid)| self.one(service, pid, offset_ns()))
            .collect()
    }

    /// Samples one process. A file that is open since its process ended is opened anew, for the PID may name another one by now, told by its start.
    fn one(&mut self, service: &Name, pid: u32, offset_ns: u64) -> Option<Sample> {
        let known = self.open.contains_key(&pid);
        self.read(service, pid, offset_ns).or_else(|| {
            self.open.remove(&pid);
            known.then(|| self.read(service, pid, offset_ns)).flatten()
        })
    }

    fn read(&mut self, service: &Name, pid: u32, offset_ns: u64) -> Option<Sample> {
        let counters = match self.counters(pid) {
            Ok(counters) => counters?,
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    warn!(pid, %service, %error, "a process cannot be sampled");
                }
                return None;
            }
        };
        Some(Sample {
            offset_ns,
            service: service.clone(),
            pid,
            start_ticks: counters.stat.start_ticks,
            user_ticks: counters.stat.user_ticks,
            system_ticks: counters.stat.system_ticks,
            cpu_ns: counters.cpu_ns,
            rss_bytes: counters.stat.rss_pages * self.page_bytes,
        })
    }

    fn counters(&mut self, pid: u32) -> std::io::Result<Option<super::process::Counters>> {
        let process = match self.open.entry(pid) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => match Process::find(&self.root, pid)? {
                Some(process) => entry.insert(process),
                None => return Ok(None),
            },
        };
        process.read(&mut self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn write(root: &Path, pid: u32, user: u64, start: u64) {
        let folder = root.join(pid.to_string());
        fs::create_dir_all(&folder).unwrap();
        let text = format!("{pid} (w) S 1 1 1 0 -1 0 0 0 0 0 {user} 2 0 0 20 0 1 0 {start} 4096 3 0\n");
        fs::write(folder.join("stat"), text).unwrap();
    }

    fn targets(pids: &[u32]) -> Targets {
        vec![("web".parse().unwrap(), pids.to_vec())]
    }

    #[test]
    fn processes_appear_vanish_and_are_told_apart_by_their_start() {
        let root = tempfile::tempdir().unwrap();
        let mut rounds = Rounds::new(root.path().to_owned(), 4096);
        write(root.path(), 5, 10, 100);
        let seen = |samples: Vec<Sample>| -> Vec<(u32, u64, u64)> {
            samples
                .iter()
                .map(|sample| (sample.pid, sample.start_ticks, sample.user_ticks))
                .collect()
        };
        assert_eq!(seen(rounds.sample(&targets(&[5, 6]), || 0)), [(5, 100, 10)]);
        write(root.path(), 6, 1, 150);
        assert_eq!(
            seen(rounds.sample(&targets(&[5, 6]), || 1)),
            [(5, 100, 10), (6, 150, 1)]
        );
        // The kernel's file of a dead process is empty for whoever has it open; a new process of the same PID has a file of its own.
        fs::write(root.path().join("5/stat"), "").unwrap();
        fs::remove_file(root.path().join("5/stat")).unwrap();
        assert_eq!(seen(rounds.sample(&targets(&[5, 6]), || 2)), [(6, 150, 1)]);
        write(root.path(), 5, 0, 900);
        let samples = rounds.sample(&targets(&[5]), || 3);
        assert_eq!((samples[0].rss_bytes, samples[0].offset_ns), (3 * 4096, 3));
        assert_eq!(seen(samples), [(5, 900, 0)]);
        assert_eq!(rounds.open.len(), 1, "what is no target any more is closed");
    }

    #[test]
    fn a_pid_that_is_reused_between_two_rounds_is_another_process() {
        let root = tempfile::tempdir().unwrap();
        let mut rounds = Rounds::new(root.path().to_owned(), 4096);
        write(root.path(), 5, 10, 100);
        rounds.sample(&targets(&[5]), || 0);
        fs::write(root.path().join("5/stat"), "").unwrap();
        fs::remove_file(root.path().join("5/stat")).unwrap();
        write(root.path(), 5, 1, 200);
        let samples = rounds.sample(&targets(&[5]), || 1);
        assert_eq!((samples[0].start_ticks, samples[0].user_ticks), (200, 1));
    }
}
