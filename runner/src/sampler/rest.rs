//! All processes of the host that nobody else sums: threads of the kernel, and programs.
//!
//! Their clock ticks are gathered into two sums that never fall. A process that ends hands its time to the parent that waits for it; what was
//! already counted while it lived is not counted again there, and what a child used that was never seen is.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use protocol::sample::{Counter, Counters, RestKind};

use super::files::Slot;
use super::kept::Read;
use super::parse::{self, Stat};
use super::source::Reader;

/// The processes that nobody else sums.
#[derive(Debug)]
pub struct Rest {
    root: PathBuf,
    known: HashMap<u32, Known>,
    files: HashMap<u32, Slot>,
    rounds: u64,
    kernel: Sum,
    programs: Sum,
}

#[derive(Debug)]
struct Known {
    stat: Stat,
    round: u64,
}

/// The ticks so far, and how many processes there are.
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

impl Rest {
    /// The rest below a root that is `/proc` but in tests.
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

    /// Reads all processes but those that `is_summed` elsewhere.
    pub fn read(&mut self, is_summed: impl Fn(u32) -> bool, reader: &mut Reader) -> [(RestKind, Counters); 2] {
        self.rounds += 1;
        self.kernel.processes = 0;
        self.programs.processes = 0;
        let mut reaped: BTreeMap<u32, u64> = BTreeMap::new();
        let listing = fs::read_dir(&self.root).into_iter().flatten();
        let pids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.filter(|&pid| !is_summed(pid)) {
            if let Some(stat) = self.stat(pid, reader) {
                self.take(pid, stat, &mut reaped);
            }
        }
        self.settle(reaped);
        [
            (RestKind::Kernel, self.kernel.counters()),
            (RestKind::Programs, self.programs.counters()),
        ]
    }

    /// Reads one process. A file that is open since its process ended is opened anew, for the PID may name another one by now.
    fn stat(&mut self, pid: u32, reader: &mut Reader) -> Option<Stat> {
        let path = || self.root.join(pid.to_string()).join("stat");
        let read = |file: &mut Slot, reader: &mut Reader| match file.read(path, reader) {
            Ok(Read::Bytes(bytes)) => parse::stat(&reader.buffer[..bytes]).ok(),
            _ => None,
        };
        if let Some(stat) = self.files.get_mut(&pid).and_then(|file| read(file, reader)) {
            return Some(stat);
        }
        let mut file = Slot::default();
        let stat = read(&mut file, reader);
        match stat {
            Some(_) => self.files.insert(pid, file),
            None => self.files.remove(&pid),
        };
        stat
    }

    /// Adds what a process has used since it was last seen; one that is new after the first round has used all of it since.
    fn take(&mut self, pid: u32, stat: Stat, reaped: &mut BTreeMap<u32, u64>) {
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

    /// Lets go of those that have ended, and adds what parents have got of children beyond what was counted of these while they lived. Whose parent
    /// has ended, too, has gone to the next that lives.
    fn settle(&mut self, mut reaped: BTreeMap<u32, u64>) {
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
        // Whether short-lived children were in user mode is not kept apart: a figure of totals.
        self.programs.user += reaped.values().sum::<u64>();
    }

    /// The next living process above one that has ended; the host's first where the line is broken.
    fn heir(&self, pid: u32) -> Option<u32> {
        const INIT: u32 = 1;
        let mut above = self.known.get(&pid)?.stat.parent;
        // No line of parents is longer than there are processes.
        for _ in 0..self.known.len() {
            match self.known.get(&above) {
                Some(known) if known.round == self.rounds => return Some(above),
                Some(known) => above = known.stat.parent,
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

    struct Host(tempfile::TempDir, Rest);

    impl Host {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let rest = Rest::new(root.path().to_owned());
            Self(root, rest)
        }

        fn write(&self, pid: u32, parent: u32, flags: u64, own: u64, reaped: u64, start: u64) {
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            let text =
                format!("{pid} (w) S {parent} 1 1 0 -1 {flags} 0 0 0 0 {own} 0 {reaped} 0 20 0 1 0 {start} 4096 3 0\n");
            // A new file: the kernel's file of a dead process is empty for whoever has it open.
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
            assert_eq!(kernel.0, RestKind::Kernel);
            programs.1.get(Counter::UserTicks).unwrap()
        }
    }

    #[test]
    fn only_what_is_used_from_the_first_round_on_counts_and_strangers_do_not() {
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
    fn children_that_come_and_go_between_two_rounds_are_counted_through_their_parent() {
        let mut host = Host::new();
        host.write(5, 1, 0, 10, 0, 1);
        host.programs();
        host.write(5, 1, 0, 10, 25, 1);
        assert_eq!(host.programs(), 25);
    }

    #[test]
    fn what_a_child_was_seen_to_use_is_not_counted_again_when_it_is_reaped() {
        let mut host = Host::new();
        host.write(5, 1, 0, 10, 0, 1);
        host.programs();
        host.write(6, 5, 0, 40, 0, 2);
        assert_eq!(host.programs(), 40);
        // It used 3 more before it ended, and its parent got 43.
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
        // 7 used 4 more, 6 got it and used 2 more, 5 got both.
        host.end(7);
        host.end(6);
        host.write(5, 1, 0, 10, 5004 + 402, 1);
        assert_eq!(host.programs(), 6);
    }

    #[test]
    fn a_pid_used_again_is_another_process_and_the_sum_never_falls() {
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
        let mut rest = Rest::new("/proc".into());
        let own = std::process::id();
        let [_, programs] = rest.read(|pid| pid == own, &mut Reader::new(4096));
        assert!(programs.1.get(Counter::Processes).unwrap() > 0);
        assert_eq!(programs.1.get(Counter::UserTicks), Some(0));
    }
}
