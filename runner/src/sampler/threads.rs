//! The threads of a process: their scheduler's times, their switches and, in a guest's QEMU, what they do.
//!
//! Their sum never falls: what a thread that has ended had used when it was last seen stays in it. What it used after that is in the
//! process's clock ticks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters, Role};

use super::files::Slot;
use super::kept::{Kept, Read};
use super::parse::process::switches;
use super::parse::{self, Sched};
use super::source::{Depth, Reader};

/// The threads of a process.
#[derive(Debug)]
pub struct Threads {
    folder: PathBuf,
    /// The folder, open: its link count is 2 + the number of threads, which costs less than listing them.
    handle: Slot,
    known: BTreeMap<u32, Thread>,
    ended: BTreeMap<Option<Role>, Used>,
    /// The guest's virtual CPUs; `None`: it is no QEMU.
    vcpus: Option<Vec<u32>>,
}

/// What threads have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The scheduler's times.
    pub sched: Sched,
    /// Context switches of their own will.
    pub voluntary: u64,
    /// Context switches against their will.
    pub involuntary: u64,
    /// How many of them live.
    pub living: u64,
}

impl Used {
    fn add(&mut self, other: &Self) {
        self.sched += other.sched;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.living += other.living;
    }
}

#[derive(Debug, Default)]
struct Thread {
    sched: Slot,
    status: Slot,
    role: Option<Role>,
    used: Used,
    /// The scheduler's times before its switches were last read.
    switches_of: Option<Sched>,
    /// Whether the last listing still had it.
    listed: bool,
}

impl Thread {
    /// Whether its switches may be others than when they were last read. A thread that has not run since has the same: whatever takes it off a CPU
    /// first adds what it has run. (Where the kernel keeps no such times, nothing is known.)
    fn may_have_switched(&self) -> bool {
        self.used.sched.cpu_ns == 0 || self.switches_of != Some(self.used.sched)
    }
}

impl Threads {
    /// The threads below a process's folder; `vcpus` are the threads of a guest's CPUs, and `None` where it is no QEMU.
    #[must_use]
    pub fn of(process: &Path, vcpus: Option<Vec<u32>>) -> Self {
        Self {
            handle: Slot::default(),
            folder: process.join("task"),
            known: BTreeMap::new(),
            ended: BTreeMap::new(),
            vcpus,
        }
    }

    /// Reads all of them; `false`: none could be read, so the process has ended or this kernel has no schedstat.
    ///
    /// # Errors
    /// What is not "gone"; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self, depth: Depth, reader: &mut Reader) -> io::Result<bool> {
        if !self.is_complete(reader) {
            self.list();
        }
        let (mut told, some_ended) = self.read_times(reader)?;
        if some_ended && depth > Depth::Quick {
            // As many may have been born as have ended.
            self.list();
            told = self.read_times(reader)?.0;
        }
        if depth > Depth::Quick {
            self.read_switches(reader);
        }
        Ok(told)
    }

    /// Whether the times of all of them come from files that stay open, which never tell of another process.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.handle.is_kept() && self.known.values().all(|thread| thread.sched.is_kept())
    }

    /// Reads the scheduler's times of all of them; says whether any told, and whether any have ended.
    fn read_times(&mut self, reader: &mut Reader) -> io::Result<(bool, bool)> {
        let mut told = false;
        let mut ended = Vec::new();
        for (&tid, thread) in &mut self.known {
            match thread
                .sched
                .read(|| self.folder.join(format!("{tid}/schedstat")), reader)?
            {
                Read::Bytes(bytes) => {
                    let sched = parse::schedstat(&reader.buffer[..bytes]);
                    thread.used.sched = sched.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    told = true;
                }
                Read::Gone => ended.push(tid),
            }
        }
        let some_ended = !ended.is_empty();
        for tid in ended {
            self.forget(tid);
        }
        Ok((told, some_ended))
    }

    fn read_switches(&mut self, reader: &mut Reader) {
        for (tid, thread) in self.known.iter_mut().filter(|(_, thread)| thread.may_have_switched()) {
            let mut counters = Counters::with_capacity(2);
            let (path, of) = (
                || self.folder.join(format!("{tid}/status")),
                format_args!("thread {tid}"),
            );
            reader.slot(&mut thread.status, path, switches, ("status", &of), &mut counters);
            if let Some(count) = counters.get(Counter::VoluntarySwitches) {
                thread.used.voluntary = count;
            }
            if let Some(count) = counters.get(Counter::InvoluntarySwitches) {
                thread.used.involuntary = count;
            }
            thread.switches_of = Some(thread.used.sched);
        }
    }

    /// What all of them have used, those that have ended included.
    #[must_use]
    pub fn used(&self) -> Used {
        let mut all = Used::default();
        self.known.values().for_each(|thread| all.add(&thread.used));
        self.ended.values().for_each(|used| all.add(used));
        all
    }

    /// The same by what they do; empty where this is no QEMU.
    #[must_use]
    pub fn by_role(&self) -> BTreeMap<Role, Used> {
        let mut roles: BTreeMap<Role, Used> = BTreeMap::new();
        let living = self.known.values().map(|thread| (thread.role, &thread.used));
        for (role, used) in living.chain(self.ended.iter().map(|(role, used)| (*role, used))) {
            if let Some(role) = role {
                roles.entry(role).or_default().add(used);
            }
        }
        roles
    }

    /// Whether as many threads are known as there are. A thread that ended and one that was born in its stead show when the one's file says gone.
    fn is_complete(&mut self, reader: &mut Reader) -> bool {
        let seen = self
            .handle
            .with(|| Kept::folder(&self.folder), reader, |folder, _| folder.metadata());
        let links = seen.ok().flatten().flatten().map(|told| told.nlink());
        links == Some(self.known.len() as u64 + 2)
    }

    /// Brings the list of threads up to date. A listing that fails keeps the old one: the process is ending.
    fn list(&mut self) {
        let Ok(listing) = fs::read_dir(&self.folder) else {
            return;
        };
        for thread in self.known.values_mut() {
            thread.listed = false;
        }
        let tids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        for tid in tids {
            if let Some(thread) = self.known.get_mut(&tid) {
                thread.listed = true;
            } else {
                let thread = Thread {
                    role: self.role(tid),
                    used: Used {
                        living: 1,
                        ..Used::default()
                    },
                    listed: true,
                    ..Thread::default()
                };
                self.known.insert(tid, thread);
            }
        }
        let gone: Vec<u32> = self
            .known
            .iter()
            .filter(|(_, thread)| !thread.listed)
            .map(|(&tid, _)| tid)
            .collect();
        for tid in gone {
            self.forget(tid);
        }
    }

    /// Keeps what a thread had used.
    fn forget(&mut self, tid: u32) {
        if let Some(thread) = self.known.remove(&tid) {
            let last = Used {
                living: 0,
                ..thread.used
            };
            self.ended.entry(thread.role).or_default().add(&last);
        }
    }

    fn role(&self, tid: u32) -> Option<Role> {
        let vcpus = self.vcpus.as_ref()?;
        let name = || fs::read(self.folder.join(format!("{tid}/comm"))).unwrap_or_default();
        Some(if vcpus.contains(&tid) {
            Role::Vcpu
        } else {
            role_of_name(&name())
        })
    }
}

/// What a thread of QEMU does, by its name. QEMU was told to name them (`debug-threads`); the kernel names those of vhost-net after the process.
fn role_of_name(name: &[u8]) -> Role {
    let begins = |with: &str| name.starts_with(with.as_bytes());
    if begins("vhost-") {
        Role::Vhost
    } else if begins("CPU ") {
        Role::Vcpu
    } else if begins("worker") || (begins("IO ") && !begins("IO mon_")) {
        Role::Io
    } else {
        Role::Emulator
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::files::Budget;

    fn write(process: &Path, tid: u32, sched: &str, name: &str) {
        let folder = process.join(format!("task/{tid}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("schedstat"), sched).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        let status = format!("Name:\t{name}\nvoluntary_ctxt_switches:\t{tid}\nnonvoluntary_ctxt_switches:\t1\n");
        fs::write(folder.join("status"), status).unwrap();
    }

    /// The kernel's file of a dead thread is empty for whoever has it open.
    fn remove(process: &Path, tid: u32) {
        fs::write(process.join(format!("task/{tid}/schedstat")), "").unwrap();
        fs::remove_dir_all(process.join(format!("task/{tid}"))).unwrap();
    }

    #[test]
    fn threads_come_and_go_and_their_sum_never_falls() {
        let root = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(4096);
        write(root.path(), 7, "1000 10 1\n", "a");
        write(root.path(), 8, "200 20 2\n", "b");
        let mut threads = Threads::of(root.path(), None);
        let mut cpu = |depth| {
            assert!(threads.read(depth, &mut reader).unwrap());
            let used = threads.used();
            (used.sched.cpu_ns, used.sched.wait_ns, used.living)
        };
        assert_eq!(cpu(Depth::Full), (1200, 30, 2));
        write(root.path(), 9, "30 3 3\n", "c");
        remove(root.path(), 8);
        assert_eq!(cpu(Depth::Full), (1230, 33, 2));
        remove(root.path(), 9);
        write(root.path(), 7, "1001 10 1\n", "a");
        assert_eq!(cpu(Depth::Quick), (1231, 33, 1));
        assert_eq!(threads.used().voluntary, 7 + 8 + 9);
        assert!(threads.by_role().is_empty());
    }

    #[test]
    fn the_threads_of_a_guest_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let names = [
            "qemu-system-x86",
            "CPU 0/KVM",
            "IO iothread0",
            "worker",
            "vhost-4242",
            "call_rcu",
            "IO mon_iothread",
        ];
        for (tid, name) in (1..).zip(names) {
            write(root.path(), tid, &format!("{} 0 1\n", 10_u64.pow(tid)), name);
        }
        // As a QEMU that does not name its threads has it: only the monitor tells.
        write(root.path(), 9, "5 0 1\n", "qemu-system-x86");
        let mut threads = Threads::of(root.path(), Some(vec![9]));
        threads.read(Depth::Full, &mut Reader::new(4096)).unwrap();
        let roles = threads.by_role();
        let cpu = |role: Role| roles[&role].sched.cpu_ns;
        assert_eq!(cpu(Role::Vcpu), 100 + 5);
        assert_eq!(cpu(Role::Io), 1000 + 10_000);
        assert_eq!(cpu(Role::Vhost), 100_000);
        assert_eq!(cpu(Role::Emulator), 10 + 1_000_000 + 10_000_000);
        let all: u64 = Role::ALL.map(cpu).iter().sum();
        assert_eq!(all, threads.used().sched.cpu_ns);
    }

    #[test]
    fn more_threads_than_files_are_kept_are_all_summed() {
        let root = tempfile::tempdir().unwrap();
        (1..=300).for_each(|tid| write(root.path(), tid, "10 1 1\n", "t"));
        let mut threads = Threads::of(root.path(), None);
        let mut reader = Reader::new(4096);
        reader.files = Budget::of(100);
        for depth in [Depth::Quick, Depth::Quick, Depth::Full] {
            threads.read(depth, &mut reader).unwrap();
            assert_eq!(threads.used().sched.cpu_ns, 3000);
        }
        assert_eq!(threads.used().voluntary, (1..=300).sum::<u64>());
        assert!(!threads.are_kept());
        assert_eq!(
            threads.known.values().filter(|thread| thread.sched.is_kept()).count(),
            99
        );
    }

    #[test]
    fn switches_are_read_again_only_of_a_thread_that_has_run() {
        let root = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(4096);
        write(root.path(), 7, "1000 10 1\n", "a");
        write(root.path(), 8, "0 0 0\n", "b");
        let mut threads = Threads::of(root.path(), None);
        let mut voluntary = |seven: (&str, u64), eight: u64| {
            for (tid, sched, count) in [(7, seven.0, seven.1), (8, "0 0 0\n", eight)] {
                let folder = root.path().join(format!("task/{tid}"));
                fs::write(folder.join("schedstat"), sched).unwrap();
                fs::write(
                    folder.join("status"),
                    format!("x:\t1\nvoluntary_ctxt_switches:\t{count}\nnonvoluntary_ctxt_switches:\t0\n"),
                )
                .unwrap();
            }
            threads.read(Depth::Full, &mut reader).unwrap();
            threads.used().voluntary
        };
        assert_eq!(voluntary(("1000 10 1\n", 100), 1), 101);
        // The kernel cannot do this; it shows that the file is not read. Where it keeps no times, the file always is.
        assert_eq!(voluntary(("1000 10 1\n", 200), 2), 102);
        assert_eq!(voluntary(("1001 10 1\n", 300), 3), 303);
    }
}
