//! The threads of a process: scheduler times, context switches and, in a guest's QEMU, their roles.
//!
//! Their sum never decreases: when a thread ends, its usage at the last read stays in the sum. What it used after that is only in the process's clock
//! ticks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters, Role};

use super::open_file::{OpenFile, Read};
use super::parse::process::switches;
use super::parse::{self, Sched};
use super::reader::{CachedFile, Depth, Reader};

/// The threads of a process.
#[derive(Debug)]
pub struct Threads {
    folder: PathBuf,
    /// The open folder: its link count is 2 + the number of threads, which is cheaper than listing them.
    handle: CachedFile,
    known: BTreeMap<u32, Thread>,
    ended: BTreeMap<Option<Role>, Used>,
    /// The threads that execute a guest's CPUs; `None`: not QEMU.
    vcpus: Option<Vec<u32>>,
}

/// The usage of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Scheduler times.
    pub sched: Sched,
    /// Voluntary context switches.
    pub voluntary: u64,
    /// Involuntary context switches.
    pub involuntary: u64,
    /// How many of them are alive.
    pub alive: u64,
}

impl Used {
    fn add(&mut self, other: &Self) {
        self.sched += other.sched;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.alive += other.alive;
    }
}

#[derive(Debug, Default)]
struct Thread {
    sched: CachedFile,
    status: CachedFile,
    role: Option<Role>,
    used: Used,
    /// The scheduler times when its switches were last read.
    switches_of: Option<Sched>,
    /// Whether the last listing had it.
    listed: bool,
}

impl Thread {
    /// Whether its switches may have changed since they were last read. They have not if it has not run since, because the kernel updates the run time
    /// when it takes a thread off a CPU. (Where the kernel keeps no times, they may always have changed.)
    fn may_have_switched(&self) -> bool {
        self.used.sched.cpu_ns == 0 || self.switches_of != Some(self.used.sched)
    }
}

impl Threads {
    /// The threads below a process's folder. `vcpus` are the threads that execute a guest's CPUs; `None`: not QEMU.
    #[must_use]
    pub fn of(process: &Path, vcpus: Option<Vec<u32>>) -> Self {
        Self {
            handle: CachedFile::default(),
            folder: process.join("task"),
            known: BTreeMap::new(),
            ended: BTreeMap::new(),
            vcpus,
        }
    }

    /// Reads all of them; `false`: none has times, so the process has ended or this kernel has no `schedstat`.
    ///
    /// # Errors
    /// Any error that does not mean "gone"; [`io::ErrorKind::InvalidData`] for a file that cannot be parsed.
    pub fn read(&mut self, depth: Depth, reader: &mut Reader) -> io::Result<bool> {
        if !self.is_complete(reader) {
            self.list();
        }
        let (mut has_times, some_ended) = self.read_times(reader)?;
        if some_ended && depth > Depth::Quick {
            // As many may have been born as have ended, so the count alone does not show them.
            self.list();
            has_times = self.read_times(reader)?.0;
        }
        if depth > Depth::Quick {
            self.read_switches(reader);
        }
        Ok(has_times)
    }

    /// Whether the times of all of them come from files that stay open, which cannot belong to another process.
    #[must_use]
    pub fn are_open(&self) -> bool {
        self.handle.is_open() && self.known.values().all(|thread| thread.sched.is_open())
    }

    /// Reads the scheduler times of all of them; returns whether any has times, and whether any has ended.
    fn read_times(&mut self, reader: &mut Reader) -> io::Result<(bool, bool)> {
        let mut has_times = false;
        let mut ended = Vec::new();
        for (&tid, thread) in &mut self.known {
            match thread
                .sched
                .read(|| self.folder.join(format!("{tid}/schedstat")), reader)?
            {
                Read::Bytes(bytes) => {
                    let sched = parse::schedstat(&reader.buffer[..bytes]);
                    thread.used.sched = sched.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    has_times = true;
                }
                Read::Gone => ended.push(tid),
            }
        }
        let some_ended = !ended.is_empty();
        for tid in ended {
            self.forget(tid);
        }
        Ok((has_times, some_ended))
    }

    fn read_switches(&mut self, reader: &mut Reader) {
        for (tid, thread) in self.known.iter_mut().filter(|(_, thread)| thread.may_have_switched()) {
            let mut counters = Counters::with_capacity(2);
            let (path, of) = (
                || self.folder.join(format!("{tid}/status")),
                format_args!("thread {tid}"),
            );
            reader.read_cached(&mut thread.status, path, switches, ("status", &of), &mut counters);
            if let Some(count) = counters.get(Counter::VoluntarySwitches) {
                thread.used.voluntary = count;
            }
            if let Some(count) = counters.get(Counter::InvoluntarySwitches) {
                thread.used.involuntary = count;
            }
            thread.switches_of = Some(thread.used.sched);
        }
    }

    /// The usage of all of them, including those that have ended.
    #[must_use]
    pub fn used(&self) -> Used {
        let mut all = Used::default();
        self.known.values().for_each(|thread| all.add(&thread.used));
        self.ended.values().for_each(|used| all.add(used));
        all
    }

    /// The usage by role; empty if this is not QEMU.
    #[must_use]
    pub fn by_role(&self) -> BTreeMap<Role, Used> {
        let mut roles: BTreeMap<Role, Used> = BTreeMap::new();
        let alive = self.known.values().map(|thread| (thread.role, &thread.used));
        for (role, used) in alive.chain(self.ended.iter().map(|(role, used)| (*role, used))) {
            if let Some(role) = role {
                roles.entry(role).or_default().add(used);
            }
        }
        roles
    }

    /// Whether as many threads are known as there are. A thread that ended while another was born shows when its file reads as gone.
    fn is_complete(&mut self, reader: &mut Reader) -> bool {
        let seen = self
            .handle
            .with(|| OpenFile::folder(&self.folder), reader, |folder, _| folder.metadata());
        let links = seen.ok().flatten().flatten().map(|metadata| metadata.nlink());
        links == Some(self.known.len() as u64 + 2)
    }

    /// Updates the list of threads. If listing fails, the process is ending and the old list stays.
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
                        alive: 1,
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

    /// Removes a thread; its usage stays in the sum.
    fn forget(&mut self, tid: u32) {
        if let Some(thread) = self.known.remove(&tid) {
            let last = Used {
                alive: 0,
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

/// The role of a QEMU thread, by its name. The driver makes QEMU name its threads (`debug-threads`); the kernel names those of vhost-net `vhost-PID`.
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
    use crate::sampler::reader::FileBudget;

    fn write(process: &Path, tid: u32, sched: &str, name: &str) {
        let folder = process.join(format!("task/{tid}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("schedstat"), sched).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        let status = format!("Name:\t{name}\nvoluntary_ctxt_switches:\t{tid}\nnonvoluntary_ctxt_switches:\t1\n");
        fs::write(folder.join("status"), status).unwrap();
    }

    /// An open file of a dead thread reads as empty.
    fn remove(process: &Path, tid: u32) {
        fs::write(process.join(format!("task/{tid}/schedstat")), "").unwrap();
        fs::remove_dir_all(process.join(format!("task/{tid}"))).unwrap();
    }

    #[test]
    fn threads_come_and_go_and_their_sum_never_decreases() {
        let root = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(4096);
        write(root.path(), 7, "1000 10 1\n", "a");
        write(root.path(), 8, "200 20 2\n", "b");
        let mut threads = Threads::of(root.path(), None);
        let mut cpu = |depth| {
            assert!(threads.read(depth, &mut reader).unwrap());
            let used = threads.used();
            (used.sched.cpu_ns, used.sched.wait_ns, used.alive)
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
    fn the_threads_of_a_guest_have_roles() {
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
        // A QEMU that does not name its threads: only the monitor knows the vCPU's thread.
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
    fn more_threads_than_open_files_are_all_summed() {
        let root = tempfile::tempdir().unwrap();
        (1..=300).for_each(|tid| write(root.path(), tid, "10 1 1\n", "t"));
        let mut threads = Threads::of(root.path(), None);
        let mut reader = Reader::new(4096);
        reader.files = FileBudget::of(100);
        for depth in [Depth::Quick, Depth::Quick, Depth::Full] {
            threads.read(depth, &mut reader).unwrap();
            assert_eq!(threads.used().sched.cpu_ns, 3000);
        }
        assert_eq!(threads.used().voluntary, (1..=300).sum::<u64>());
        assert!(!threads.are_open());
        assert_eq!(
            threads.known.values().filter(|thread| thread.sched.is_open()).count(),
            99
        );
    }

    #[test]
    fn switches_are_reread_only_for_a_thread_that_has_run() {
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
        // A kernel never does this; it shows that the file is not read. Where there are no times, it always is.
        assert_eq!(voluntary(("1000 10 1\n", 200), 2), 102);
        assert_eq!(voluntary(("1001 10 1\n", 300), 3), 303);
    }
}
