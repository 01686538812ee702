//! The threads of a process: their scheduler's times, their switches and, in a guest's QEMU, what they do.
//!
//! Their sum never falls: what a thread that has ended had used when it was last seen stays in it. What it used after that is in the
//! process's clock ticks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::sample::{Counter, Counters, Role};

use super::kept::{Kept, Read};
use super::parse::process::switches;
use super::parse::{self, Sched};
use super::source::{Depth, Reader};

/// Thread files that stay open, a process; those of further threads are opened for every reading, so that a service of thousands of
/// threads does not use up the runner's files.
const KEPT: usize = 128;

/// The threads of a process.
#[derive(Debug)]
pub struct Threads {
    folder: PathBuf,
    /// The folder, open: its link count is 2 + the number of threads, which costs less than listing them.
    handle: Option<File>,
    known: BTreeMap<u32, Thread>,
    ended: BTreeMap<Option<Role>, Used>,
    /// The guest's virtual CPUs; `None`: it is no QEMU.
    vcpus: Option<Vec<u32>>,
    open: usize,
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

#[derive(Debug)]
struct Thread {
    file: Option<Kept>,
    role: Option<Role>,
    used: Used,
    /// Whether the last listing still had it.
    listed: bool,
}

impl Threads {
    /// The threads below a process's folder; `vcpus` are the threads of a guest's CPUs, and `None` where it is no QEMU.
    #[must_use]
    pub fn of(process: &Path, vcpus: Option<Vec<u32>>) -> Self {
        let folder = process.join("task");
        Self {
            handle: File::open(&folder).ok(),
            folder,
            known: BTreeMap::new(),
            ended: BTreeMap::new(),
            vcpus,
            open: 0,
        }
    }

    /// Reads all of them; `false`: none could be read, so the process has ended or this kernel has no schedstat.
    ///
    /// # Errors
    /// What is not "gone"; a text that is not understood is [`io::ErrorKind::InvalidData`].
    pub fn read(&mut self, depth: Depth, reader: &mut Reader) -> io::Result<bool> {
        if depth > Depth::Quick || !self.is_complete() {
            self.list();
        }
        let mut told = false;
        let mut ended = Vec::new();
        for (&tid, thread) in &mut self.known {
            let opened;
            let file = match &thread.file {
                Some(file) => file,
                None => {
                    let path = self.folder.join(format!("{tid}/schedstat"));
                    let Some(file) = Kept::open(&path)? else { continue };
                    if self.open < KEPT {
                        self.open += 1;
                        thread.file.insert(file)
                    } else {
                        opened = file;
                        &opened
                    }
                }
            };
            match file.read(&mut reader.buffer)? {
                Read::Bytes(bytes) => {
                    let sched = parse::schedstat(&reader.buffer[..bytes]);
                    thread.used.sched = sched.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    told = true;
                }
                Read::Gone => ended.push(tid),
            }
        }
        for tid in ended {
            self.forget(tid);
        }
        if depth > Depth::Quick {
            self.read_switches(reader);
        }
        Ok(told)
    }

    fn read_switches(&mut self, reader: &mut Reader) {
        for (tid, thread) in &mut self.known {
            let mut counters = Counters::default();
            let path = self.folder.join(format!("{tid}/status"));
            reader.once("status", &path, switches, &format_args!("thread {tid}"), &mut counters);
            if let Some(count) = counters.get(Counter::VoluntarySwitches) {
                thread.used.voluntary = count;
            }
            if let Some(count) = counters.get(Counter::InvoluntarySwitches) {
                thread.used.involuntary = count;
            }
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
    fn is_complete(&self) -> bool {
        let links = self
            .handle
            .as_ref()
            .and_then(|folder| Some(folder.metadata().ok()?.nlink()));
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
                    file: None,
                    role: self.role(tid),
                    used: Used {
                        living: 1,
                        ..Used::default()
                    },
                    listed: true,
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
            self.open -= usize::from(thread.file.is_some());
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

    fn write(process: &Path, tid: u32, sched: &str, name: &str) {
        let folder = process.join(format!("task/{tid}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("schedstat"), sched).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        let status = format!("Name:\t{name}\nvoluntary_ctxt_switches:\t{tid}\nnonvoluntary_ctxt_switches:\t1\n");
        fs::write(folder.join("status"), status).unwrap();
    }

    fn remove(process: &Path, tid: u32) {
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
        for _ in 0..2 {
            threads.read(Depth::Quick, &mut Reader::new(4096)).unwrap();
            assert_eq!(threads.used().sched.cpu_ns, 3000);
        }
        assert_eq!(threads.open, KEPT);
    }
}
