//! All processes of the host that are not sampled one by one, in two sums: kernel threads and programs.
//!
//! The sums of their clock ticks never decrease. The kernel adds the time of a process that ends to the parent that waits for it. What was counted
//! while the process lived is not counted again there; what a child used that was never seen is.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use protocol::sample::{Counter, Counters, ProcessKind};

use super::open_file::Read;
use super::parse::{self, Stat};
use super::reader::{CachedFile, Reader};

/// The processes that are not sampled one by one.
#[derive(Debug)]
pub struct OtherProcesses {
    root: PathBuf,
    known: HashMap<u32, Known>,
    files: HashMap<u32, CachedFile>,
    rounds: u64,
    kernel: Sum,
    programs: Sum,
}

#[derive(Debug)]
struct Known {
    stat: Stat,
    round: u64,
}

/// The ticks so far, and the number of processes.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    user: u64,
    system: u64,
    processes: u64,
}

impl Sum {
    fn counters(self) -> Counters {
        let figures = [
            (Counter::UserTicks, self.user),
            (Counter::SystemTicks, self.system),
            (Counter::Processes, self.processes),
        ];
        figures.into_iter().collect()
    }
}

impl OtherProcesses {
    /// The processes in `/proc`, or a recorded one in tests.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            known: HashMap::new(),
            files: HashMap::new(),
            rounds: 0,
            kernel: Sum::default(),
            programs: Sum::default(),
        }
    }

    /// Reads all processes except those that `is_sampled` by themselves.
    pub fn read(&mut self, is_sampled: impl Fn(u32) -> bool, reader: &mut Reader) -> [(ProcessKind, Counters); 2] {
        self.rounds += 1;
        self.kernel.processes = 0;
        self.programs.processes = 0;
        let mut reaped: BTreeMap<u32, u64> = BTreeMap::new();
        let listing = fs::read_dir(&self.root).into_iter().flatten();
        let pids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.filter(|&pid| !is_sampled(pid)) {
            if let Some(stat) = self.stat(pid, reader) {
                self.add(pid, stat, &mut reaped);
            }
        }
        self.add_reaped(reaped);
        [
            (ProcessKind::Kernel, self.kernel.counters()),
            (ProcessKind::Programs, self.programs.counters()),
        ]
    }

    /// Reads one process. If the process behind the open file has ended, the file is reopened: the PID may belong to another process now.
    fn stat(&mut self, pid: u32, reader: &mut Reader) -> Option<Stat> {
        let path = || self.root.join(pid.to_string()).join("stat");
        let read = |file: &mut CachedFile, reader: &mut Reader| match file.read(path, reader) {
            Ok(Read::Bytes(bytes)) => parse::stat(&reader.buffer[..bytes]).ok(),
            _ => None,
        };
        if let Some(stat) = self.files.get_mut(&pid).and_then(|file| read(file, reader)) {
            return Some(stat);
        }
        let mut file = CachedFile::default();
        let stat = read(&mut file, reader);
        match stat {
            Some(_) => self.files.insert(pid, file),
            None => self.files.remove(&pid),
        };
        stat
    }

    /// Adds what a process has used since it was last seen. A process that appears after the first round has used all of it since.
    fn add(&mut self, pid: u32, stat: Stat, reaped: &mut BTreeMap<u32, u64>) {
        let rounds = self.rounds;
        let is_first = rounds == 1;
        let known = self.known.entry(pid).or_insert_with(|| Known {
            stat: if is_first { stat } else { Stat::default() },
            round: 0,
        });
        if known.round > 0 && known.stat.start_ticks != stat.start_ticks {
            known.stat = Stat::default();
        }
        let sum = if stat.is_kernel {
            &mut self.kernel
        } else {
            &mut self.programs
        };
        sum.user += stat.user_ticks.saturating_sub(known.stat.user_ticks);
        sum.system += stat.system_ticks.saturating_sub(known.stat.system_ticks);
        sum.processes += 1;
        let of_children = |stat: &Stat| stat.reaped_user_ticks + stat.reaped_system_ticks;
        let fresh = of_children(&stat).saturating_sub(of_children(&known.stat));
        if fresh > 0 {
            reaped.insert(pid, fresh);
        }
        known.stat = stat;
        known.round = rounds;
    }

    /// Removes the processes that have ended, and adds what their parents inherited beyond what was counted while they lived. If the parent has ended
    /// as well, the time has gone to the next living ancestor.
    fn add_reaped(&mut self, mut reaped: BTreeMap<u32, u64>) {
        let ended: Vec<u32> = self
            .known
            .iter()
            .filter(|(_, known)| known.round != self.rounds)
            .map(|(&pid, _)| pid)
            .collect();
        for pid in &ended {
            if let (Some(known), Some(heir)) = (self.known.get(pid), self.heir(*pid))
                && let Some(of_heir) = reaped.get_mut(&heir)
            {
                *of_heir = of_heir.saturating_sub(known.stat.all_ticks());
            }
        }
        for pid in ended {
            self.known.remove(&pid);
            self.files.remove(&pid);
        }
        // User and system time of short-lived children are not kept apart.
        self.programs.user += reaped.values().sum::<u64>();
    }

    /// The next living ancestor of a process that has ended; init if an ancestor is unknown.
    fn heir(&self, pid: u32) -> Option<u32> {
        const INIT: u32 = 1;
        let mut ancestor = self.known.get(&pid)?.stat.parent;
        // No chain of parents is longer than there are processes.
        for _ in 0..self.known.len() {
            match self.known.get(&ancestor) {
                Some(known) if known.round == self.rounds => return Some(ancestor),
                Some(known) => ancestor = known.stat.parent,
                None => return Some(INIT),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 0x0020_0000;

    struct Host(tempfile::TempDir, OtherProcesses);

    impl Host {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let others = OtherProcesses::new(root.path().to_owned());
            Self(root, others)
        }

        fn write(&self, pid: u32, parent: u32, flags: u64, own: u64, reaped: u64, start: u64) {
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            let text =
                format!("{pid} (w) S {parent} 1 1 0 -1 {flags} 0 0 0 0 {own} 0 {reaped} 0 20 0 1 0 {start} 4096 3 0\n");
            // A new file, since an open file of a dead process reads as empty.
            let path = folder.join("stat");
            if path.exists() {
                fs::write(&path, "").unwrap();
                fs::remove_file(&path).unwrap();
            }
            fs::write(path, text).unwrap();
        }

        fn end(&self, pid: u32) {
            fs::write(self.0.path().join(format!("{pid}/stat")), "").unwrap();
            fs::remove_dir_all(self.0.path().join(pid.to_string())).unwrap();
        }

        fn programs(&mut self) -> u64 {
            let [kernel, programs] = self.1.read(|pid| pid == 99, &mut Reader::new(4096));
            assert_eq!(kernel.0, ProcessKind::Kernel);
            programs.1.get(Counter::UserTicks).unwrap()
        }
    }

    #[test]
    fn only_usage_after_the_first_round_counts_and_sampled_processes_do_not() {
        let mut host = Host::new();
        host.write(2, 0, KERNEL, 1000, 0, 1);
        host.write(5, 1, 0, 500, 300, 1);
        host.write(99, 1, 0, 7, 0, 1);
        assert_eq!(host.programs(), 0);
        host.write(5, 1, 0, 510, 300, 1);
        host.write(2, 0, KERNEL, 1003, 0, 1);
        host.write(99, 1, 0, 700, 0, 1);
        let [kernel, programs] = host.1.read(|pid| pid == 99, &mut Reader::new(4096));
        assert_eq!(kernel.1.get(Counter::UserTicks), Some(3));
        assert_eq!(programs.1.get(Counter::UserTicks), Some(10));
        assert_eq!(programs.1.get(Counter::Processes), Some(1));
    }

    #[test]
    fn children_that_come_and_go_between_two_rounds_are_counted_at_their_parent() {
        let mut host = Host::new();
        host.write(5, 1, 0, 10, 0, 1);
        host.programs();
        host.write(5, 1, 0, 10, 25, 1);
        assert_eq!(host.programs(), 25);
    }

    #[test]
    fn a_child_that_was_seen_is_not_counted_again_when_it_is_reaped() {
        let mut host = Host::new();
        host.write(5, 1, 0, 10, 0, 1);
        host.programs();
        host.write(6, 5, 0, 40, 0, 2);
        assert_eq!(host.programs(), 40);
        // It used 3 more before it ended, and its parent inherited 43.
        host.end(6);
        host.write(5, 1, 0, 10, 43, 1);
        assert_eq!(host.programs(), 43);
        assert_eq!(host.programs(), 43);
    }

    #[test]
    fn a_parent_and_its_child_that_end_together_are_inherited_once() {
        let mut host = Host::new();
        host.write(5, 1, 0, 10, 0, 1);
        host.write(6, 5, 0, 300, 100, 2);
        host.write(7, 6, 0, 5000, 0, 3);
        host.programs();
        // 7 used 4 more; 6 inherited it and used 2 more; 5 inherited both.
        host.end(7);
        host.end(6);
        host.write(5, 1, 0, 10, 5004 + 402, 1);
        assert_eq!(host.programs(), 6);
    }

    #[test]
    fn a_reused_pid_is_another_process_and_the_sum_never_decreases() {
        let mut host = Host::new();
        host.write(5, 1, 0, 1000, 0, 1);
        host.programs();
        host.write(5, 1, 0, 4, 0, 77);
        assert_eq!(host.programs(), 4);
        host.end(5);
        assert_eq!(host.programs(), 4);
    }

    #[test]
    fn this_host_has_both_kinds() {
        let mut others = OtherProcesses::new("/proc".into());
        let own = std::process::id();
        let [_, programs] = others.read(|pid| pid == own, &mut Reader::new(4096));
        assert!(programs.1.get(Counter::Processes).unwrap() > 0);
        assert_eq!(programs.1.get(Counter::UserTicks), Some(0));
    }
}
