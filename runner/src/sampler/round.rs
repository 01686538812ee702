//! One round over everything that is sampled.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use deploy::Snapshot;
use protocol::sample::{
    Counter, Counters, PlatformProcess, ProcessRef, QemuThreads, Role, Sample, ServiceProcess, Subject,
};

use super::process::Process;
use super::reader::{Depth, Reader};
use super::system::System;
use super::targets::{Service, Targets};
use super::threads::Used;

/// The state that rounds share: open files and what was read before.
#[derive(Debug)]
pub struct Rounds {
    root: PathBuf,
    open: BTreeMap<u32, OpenProcess>,
    rounds: u64,
    /// The processes whose page tables are still to be walked.
    to_walk: Vec<Subject>,
    system: System,
    reader: Reader,
}

/// A process whose files are open.
#[derive(Debug)]
struct OpenProcess {
    process: Process,
    /// The last round that sampled it.
    round: u64,
    /// Whether it was read before; the first read is a full one.
    seen: bool,
}

impl Rounds {
    /// Rounds over `/proc` and `/sys`, or recorded ones in tests.
    #[must_use]
    pub fn new(root: PathBuf, sys: &Path, page_bytes: u64) -> Self {
        let mut reader = Reader::new(page_bytes);
        Self {
            system: System::open(&root, sys, &mut reader),
            root,
            open: BTreeMap::new(),
            rounds: 0,
            to_walk: Vec::new(),
            reader,
        }
    }

    /// What could not be read so far; clears the notes.
    #[must_use]
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reader.notes).into_lines()
    }

    /// Samples everything once. What has vanished is left out. `offset_ns` is called once for each sample, right after its files were read.
    pub fn sample(&mut self, targets: &Targets, depth: Depth, offset_ns: impl Fn() -> u64) -> Vec<Sample> {
        self.rounds += 1;
        let host = Snapshot::default();
        let mut samples = Vec::with_capacity(self.open.len() + 8);
        let put = &mut |of, counters: Counters| {
            if !counters.is_empty() {
                let offset_ns = offset_ns();
                samples.push(Sample {
                    offset_ns,
                    of,
                    counters,
                });
            }
        };
        self.system.cgroups(&targets.services, depth, &mut self.reader, put);
        for service in &targets.services {
            self.service(service, &host, depth, put);
        }
        for part in &targets.platform {
            let of = |pid, start_ticks| {
                Subject::Platform(PlatformProcess {
                    part: part.name.clone(),
                    service: part.service.clone(),
                    pid,
                    start_ticks,
                })
            };
            self.process(part.pid, None, depth, of, put);
        }
        let runner = |pid, start_ticks| Subject::Runner(ProcessRef { pid, start_ticks });
        self.process(std::process::id(), None, depth, runner, put);
        let rounds = self.rounds;
        self.open.retain(|_, open| open.round == rounds);
        if depth > Depth::Quick {
            let open = &self.open;
            self.system
                .everything(&targets.services, |pid| open.contains_key(&pid), &mut self.reader, put);
        }
        samples
    }

    /// Samples all counters once except those of page tables, which [`Self::walk`] reads process by process.
    pub fn begin_walk(&mut self, targets: &Targets, offset_ns: impl Fn() -> u64) -> Vec<Sample> {
        let samples = self.sample(targets, Depth::Full, offset_ns);
        let processes = samples.iter().filter(|sample| pid(&sample.of).is_some());
        self.to_walk = processes.map(|sample| sample.of.clone()).collect();
        // The services come first.
        self.to_walk.reverse();
        samples
    }

    /// Whether page tables are still to be walked.
    #[must_use]
    pub const fn has_to_walk(&self) -> bool {
        !self.to_walk.is_empty()
    }

    /// Walks the page tables of the next process; `None`: it has ended.
    pub fn walk(&mut self, offset_ns: impl Fn() -> u64) -> Option<Sample> {
        let of = self.to_walk.pop()?;
        let (pid, start_ticks) = pid(&of)?;
        let open = self
            .open
            .get(&pid)
            .filter(|open| open.process.start_ticks() == start_ticks)?;
        let mut counters = Counters::with_capacity(12);
        open.process.walk(&mut counters, &mut self.reader);
        (!counters.is_empty()).then(|| Sample {
            offset_ns: offset_ns(),
            of,
            counters,
        })
    }

    fn service(&mut self, service: &Service, host: &Snapshot, depth: Depth, put: &mut impl FnMut(Subject, Counters)) {
        let mut roles: BTreeMap<Role, Used> = BTreeMap::new();
        for (index, pid) in service.processes.pids(host).into_iter().enumerate() {
            let of = |pid, start_ticks| {
                Subject::Process(ServiceProcess {
                    service: service.name.clone(),
                    pid,
                    start_ticks,
                })
            };
            let vcpus = service.guest.as_ref().map(|guest| &guest.vcpus[..]);
            let memory = service
                .guest
                .as_ref()
                .filter(|_| index == 0 && depth == Depth::Checkpoint);
            let put_with_memory = &mut |of, mut counters: Counters| {
                if let Some(guest) = memory {
                    counters.put(Counter::GuestMemoryBytes, guest.memory_bytes);
                }
                put(of, counters);
            };
            if let Some(of_process) = self.process(pid, vcpus, depth, of, put_with_memory) {
                for (role, used) in of_process {
                    let sum = roles.entry(role).or_default();
                    sum.sched += used.sched;
                    sum.alive += used.alive;
                }
            }
        }
        for (role, used) in roles {
            let mut counters = Counters::with_capacity(4);
            used.sched.put(&mut counters);
            counters.put(Counter::Threads, used.alive);
            let service = service.name.clone();
            put(Subject::Threads(QemuThreads { service, role }), counters);
        }
    }

    /// Samples one process; returns the usage of its threads by role. If the process behind the open files has ended, they are reopened: the PID may
    /// belong to another process now, which its start time shows.
    fn process(
        &mut self,
        pid: u32,
        vcpus: Option<&[u32]>,
        depth: Depth,
        of: impl Fn(u32, u64) -> Subject,
        put: &mut impl FnMut(Subject, Counters),
    ) -> Option<BTreeMap<Role, Used>> {
        let known = self.open.contains_key(&pid);
        let mut read = self.read(pid, vcpus, depth);
        if read.is_none() {
            self.open.remove(&pid);
            read = known.then(|| self.read(pid, vcpus, depth)).flatten();
        }
        let Some(counters) = read else {
            self.open.remove(&pid);
            return None;
        };
        let open = self.open.get_mut(&pid)?;
        open.round = self.rounds;
        open.seen = true;
        put(of(pid, open.process.start_ticks()), counters);
        vcpus.map(|_| open.process.by_role())
    }

    fn read(&mut self, pid: u32, vcpus: Option<&[u32]>, depth: Depth) -> Option<Counters> {
        self.counters(pid, vcpus, depth).unwrap_or_else(|error| {
            self.reader.notes.unreadable("stat", &format_args!("pid {pid}"), &error);
            None
        })
    }

    fn counters(&mut self, pid: u32, vcpus: Option<&[u32]>, depth: Depth) -> std::io::Result<Option<Counters>> {
        let open = match self.open.entry(pid) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let vcpus = vcpus.map(<[u32]>::to_vec);
                match Process::find(&self.root, pid, vcpus, &mut self.reader)? {
                    Some(process) => entry.insert(OpenProcess {
                        process,
                        round: 0,
                        seen: false,
                    }),
                    None => return Ok(None),
                }
            }
        };
        let depth = if open.seen { depth } else { depth.max(Depth::Full) };
        open.process.read(depth, &mut self.reader)
    }
}

/// The process of a sample, with its start time.
const fn pid(of: &Subject) -> Option<(u32, u64)> {
    match of {
        Subject::Process(of) => Some((of.pid, of.start_ticks)),
        Subject::Platform(of) => Some((of.pid, of.start_ticks)),
        Subject::Runner(of) => Some((of.pid, of.start_ticks)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;
    use std::fs;
    use std::io::{BufRead, BufReader, Write};

    fn write(root: &Path, pid: u32, user: u64, start: u64) {
        let folder = root.join(pid.to_string());
        fs::create_dir_all(folder.join("task")).unwrap();
        let text = format!("{pid} (w) S 1 1 1 0 -1 0 0 0 0 0 {user} 2 0 0 20 0 1 0 {start} 4096 3 0\n");
        fs::write(folder.join("stat"), text).unwrap();
        fs::write(folder.join("statm"), "9 3 1 1 0 1 0\n").unwrap();
    }

    /// An open file of a dead process reads as empty; a new process with the same PID has a file of its own.
    fn end(root: &Path, pid: u32) {
        for file in ["stat", "statm"] {
            let path = root.join(format!("{pid}/{file}"));
            fs::write(&path, "").unwrap();
            fs::remove_file(path).unwrap();
        }
    }

    fn targets(pids: &[u32]) -> Targets {
        Targets {
            services: vec![Service::new(name("web"), pids.to_vec())],
            platform: Vec::new(),
        }
    }

    fn rounds(root: &tempfile::TempDir) -> Rounds {
        Rounds::new(root.path().to_owned(), Path::new("/nowhere"), 4096)
    }

    fn seen(samples: &[Sample]) -> Vec<(u32, u64, Option<u64>)> {
        let one = |sample: &Sample| match &sample.of {
            Subject::Process(of) => Some((of.pid, of.start_ticks, sample.counters.get(Counter::UserTicks))),
            _ => None,
        };
        samples.iter().filter_map(one).collect()
    }

    #[test]
    fn processes_appear_vanish_and_are_distinguished_by_start_time() {
        let root = tempfile::tempdir().unwrap();
        let mut rounds = rounds(&root);
        write(root.path(), 5, 10, 100);
        let mut look = |pids: &[u32], depth| rounds.sample(&targets(pids), depth, || 3);
        assert_eq!(seen(&look(&[5, 6], Depth::Full)), [(5, 100, Some(10))]);
        write(root.path(), 6, 1, 150);
        assert_eq!(
            seen(&look(&[5, 6], Depth::Full)),
            [(5, 100, Some(10)), (6, 150, Some(1))]
        );
        end(root.path(), 5);
        assert_eq!(seen(&look(&[5, 6], Depth::Full)), [(6, 150, Some(1))]);
        write(root.path(), 5, 0, 900);
        let samples = look(&[5], Depth::Full);
        assert_eq!(seen(&samples), [(5, 900, Some(0))]);
        let process = samples
            .iter()
            .find(|sample| matches!(sample.of, Subject::Process(_)))
            .unwrap();
        assert_eq!(process.counters.get(Counter::RssBytes), Some(3 * 4096));
        assert_eq!(process.offset_ns, 3);
        assert_eq!(
            rounds.open.len(),
            1,
            "the files of a process that is no longer sampled are closed"
        );
    }

    #[test]
    fn a_pid_reused_between_two_rounds_is_another_process() {
        let root = tempfile::tempdir().unwrap();
        let mut rounds = rounds(&root);
        write(root.path(), 5, 10, 100);
        rounds.sample(&targets(&[5]), Depth::Full, || 0);
        end(root.path(), 5);
        write(root.path(), 5, 1, 200);
        // Even a quick round reads all counters of a process that is new.
        assert_eq!(
            seen(&rounds.sample(&targets(&[5]), Depth::Quick, || 1)),
            [(5, 200, Some(1))]
        );
    }

    #[test]
    fn page_tables_are_walked_process_by_process_after_a_read() {
        let mut rounds = Rounds::new("/proc".into(), Path::new("/sys"), crate::facts::page_bytes());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let samples = rounds.begin_walk(&targets(&[child.id()]), || 1);
        assert!(
            samples
                .iter()
                .all(|sample| sample.counters.get(Counter::PssBytes).is_none())
        );
        let mut walked = Vec::new();
        while rounds.has_to_walk() {
            walked.extend(rounds.walk(|| 2));
        }
        assert_eq!(walked.len(), 2, "the child and this process: {walked:?}");
        assert_eq!(pid(&walked[0].of).map(|of| of.0), Some(child.id()));
        for sample in &walked {
            assert!(sample.counters.get(Counter::PssBytes).is_some_and(|bytes| bytes > 0));
            assert_eq!(
                (
                    sample.counters.get(Counter::CpuNs),
                    sample.counters.get(Counter::RssBytes)
                ),
                (None, None)
            );
        }
        rounds.begin_walk(&targets(&[child.id()]), || 3);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(rounds.walk(|| 4), None, "it has ended");
    }

    #[test]
    fn a_process_is_in_the_first_round_after_its_birth() {
        let mut rounds = Rounds::new("/proc".into(), Path::new("/sys"), crate::facts::page_bytes());
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "read line; sleep 60 & echo $!; wait"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut targets = targets(&[]);
        targets.services[0].processes = deploy::Processes::Tree(shell.id());
        let pids = |samples: &[Sample]| -> Vec<u32> { seen(samples).into_iter().map(|(pid, ..)| pid).collect() };
        assert_eq!(pids(&rounds.sample(&targets, Depth::Full, || 0)), [shell.id()]);
        shell.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut born = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut born)
            .unwrap();
        let born: u32 = born.trim().parse().unwrap();
        let next = rounds.sample(&targets, Depth::Quick, || 1);
        for pid in [shell.id(), born] {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid.try_into().unwrap()),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(pids(&next), [shell.id(), born]);
        let ticks = seen(&next).into_iter().find(|(pid, ..)| *pid == born).unwrap().2;
        assert!(ticks.is_some(), "the first sample of a process has all counters");
    }

    #[test]
    fn a_real_round_has_every_view() {
        let mut rounds = Rounds::new("/proc".into(), Path::new("/sys"), crate::facts::page_bytes());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let samples = rounds.sample(&targets(&[child.id()]), Depth::Checkpoint, || 0);
        child.kill().unwrap();
        child.wait().unwrap();
        let count = |is: fn(&Subject) -> bool| samples.iter().filter(|sample| is(&sample.of)).count();
        assert_eq!(count(|of| matches!(of, Subject::Process(_))), 1);
        assert_eq!(count(|of| matches!(of, Subject::Runner(_))), 1);
        assert_eq!(count(|of| matches!(of, Subject::OtherProcesses(_))), 2);
        assert_eq!(count(|of| matches!(of, Subject::Host(_))), 1);
        let quick = rounds.sample(&targets(&[]), Depth::Quick, || 1);
        assert!(quick.iter().all(|sample| !matches!(sample.of, Subject::Host(_))));
    }
}
