//! Keeps the CPUs from sleeping between two requests.
//!
//! A CPU that has nothing to do sleeps, and the next request waits until it is awake: microseconds to hundreds of microseconds. On hardware, the
//! kernel's interface for that is `/dev/cpu_dma_latency` (`Documentation/power/pm_qos_interface.rst`). A virtual CPU that halts gives its core back to the
//! hypervisor, and what it waits for to get it again counts as steal; only a CPU with work does not halt. Hence a process at idle priority on each CPU, which
//! runs when nothing else wants to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, setsid};
pub use protocol::load::Awake;

use super::Engine;
use super::control::Control;
use super::error::LoadError;
use super::outcome::Outcome;

/// An engine during whose run the CPUs are kept awake.
pub struct KeptAwake(pub Box<dyn Engine + Send>);

impl std::fmt::Debug for KeptAwake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptAwake").finish_non_exhaustive()
    }
}

impl Engine for KeptAwake {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let guard = Guard::new();
        let mut outcome = self.0.run(control)?;
        outcome.usage.awake = Some(guard.awake);
        Ok(outcome)
    }
}

/// Keeps the CPUs awake until it is dropped.
#[derive(Debug)]
struct Guard {
    awake: Awake,
    /// In effect while it is open.
    _latency: Option<File>,
    idle: Vec<Child>,
}

impl Guard {
    fn new() -> Self {
        if !is_virtual() {
            let latency = latency().ok();
            let awake = if latency.is_some() {
                Awake::Latency
            } else {
                Awake::Denied
            };
            return Self {
                awake,
                _latency: latency,
                idle: vec![],
            };
        }
        let cpus = if idle_priority_yields() { cpus() } else { vec![] };
        let idle: Vec<_> = cpus.into_iter().filter_map(|cpu| idle_process(cpu).ok()).collect();
        Self {
            awake: if idle.is_empty() {
                Awake::ControlGroups
            } else {
                Awake::IdlePriority
            },
            _latency: None,
            idle,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for child in &mut self.idle {
            // Both fail only for a process that has already been reaped.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asks the kernel for a wake-up latency of 0 us, for as long as the file is open.
fn latency() -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).open("/dev/cpu_dma_latency")?;
    file.write_all(&0_i32.to_ne_bytes())?;
    Ok(file)
}

/// Whether the CPUs are virtual.
fn is_virtual() -> bool {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpus.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// Whether a process at idle priority yields to all others of this machine. In a control group with CPU weights it yields within the group alone, and the
/// group takes its share from the services.
fn idle_priority_yields() -> bool {
    /// Inode of the initial namespace of control groups (`PROC_CGROUP_INIT_INO`, `include/linux/proc_ns.h`): in another, `/` is not the root.
    const INITIAL: &str = "cgroup:[4026531835]";
    let is_initial = fs::read_link("/proc/self/ns/cgroup").is_ok_and(|link| link.as_os_str() == INITIAL);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    is_initial
        && has_no_weight(&groups, |group| {
            fs::exists(format!("/sys/fs/cgroup/{group}/cpu.weight")).unwrap_or(false)
        })
}

/// The same for the lines of `/proc/self/cgroup`: the controller `cpu` has the process at its root. In version 2 the topmost group has a weight if the
/// controller is enabled.
fn has_no_weight(groups: &str, is_weighted: impl Fn(&str) -> bool) -> bool {
    let mut lines = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    lines.all(|(controllers, path)| {
        let topmost = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        match controllers {
            "" => topmost.is_empty() || !is_weighted(topmost),
            _ => path == "/" || controllers.split(',').all(|controller| controller != "cpu"),
        }
    })
}

/// The CPUs that this process may use.
fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect()
}

/// Starts a process that never sleeps, on one CPU and at idle priority.
#[expect(unsafe_code, reason = "what is set between fork and exec")]
fn idle_process(cpu: usize) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command.arg0("jung-awake").args(["-c", "while :; do :; done"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut set = CpuSet::new();
    set.set(cpu)?;
    // SAFETY: only system calls on values made before the fork; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            sched_setaffinity(Pid::from_raw(0), &set)?;
            idle_priority()
        });
    }
    command.spawn()
}

/// Gives this process idle priority, in a session of its own: `CONFIG_SCHED_AUTOGROUP` weighs sessions against each other (sched(7)).
#[expect(unsafe_code, reason = "nix has no sched_setscheduler and no setpriority")]
fn idle_priority() -> io::Result<()> {
    setsid()?;
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel only reads `parameters`, which outlive the call; 0 is the calling process.
    let is_set = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) == 0
            && libc::setpriority(libc::PRIO_PROCESS, 0, 19) == 0
    };
    if !is_set {
        return Err(io::Error::last_os_error());
    }
    match OpenOptions::new().write(true).open("/proc/self/autogroup") {
        // Without CAP_SYS_ADMIN, the kernel takes one such weight per 0.1 s, from all processes.
        Ok(mut weight) => loop {
            match weight.write_all(b"19") {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(20))
                }
                written => return written,
            }
        },
        // A kernel without it.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::Idle;

    #[test]
    fn weights_of_control_groups_are_found() {
        let weighted = |group: &str| group == "user.slice";
        for (groups, yields) in [
            ("0::/\n", true),
            ("0::/user.slice/user-0.slice/session-1.scope\n", false),
            ("0::/init.scope\n", true),
            ("4:memory:/a\n2:cpu,cpuacct:/\n0::/\n", true),
            ("4:memory:/a\n2:cpu,cpuacct:/docker/1\n0::/\n", false),
            ("3:cpuset:/docker/1\n1:name=systemd:/x\n", true),
        ] {
            assert_eq!(has_no_weight(groups, weighted), yields, "{groups}");
        }
    }

    #[test]
    fn a_process_of_idle_priority_runs_on_its_cpu_and_ends_with_the_guard() {
        let cpu = cpus()[0];
        let guard = Guard {
            awake: Awake::IdlePriority,
            _latency: None,
            idle: vec![idle_process(cpu).unwrap()],
        };
        let pid = guard.idle[0].id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // proc(5): nice is field 19, policy field 41, counted from 1; these begin with field 3.
        assert_eq!((fields[16], fields[38]), ("19", libc::SCHED_IDLE.to_string().as_str()));
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{status}");
        drop(guard);
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    }

    #[test]
    fn a_run_records_what_was_done() {
        let engine = KeptAwake(Box::new(Idle::new(Duration::from_millis(1))));
        let expected = match (is_virtual(), idle_priority_yields()) {
            (true, true) => vec![Awake::IdlePriority],
            (true, false) => vec![Awake::ControlGroups],
            (false, _) => vec![Awake::Latency, Awake::Denied],
        };
        let awake = engine.run(&Control::new()).unwrap().usage.awake.unwrap();
        assert!(expected.contains(&awake), "{awake:?}");
    }
}
