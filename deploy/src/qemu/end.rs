//! How a guest ended, as the hypervisor's exit status, its monitor and the console show it.

use std::process::ExitStatus;

use protocol::summary::Exit;

use super::console::Seen;
use super::qmp::QmpEvent;
use crate::process;

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The service exited with this code, or by this signal if negative, as the console shows.
    Returned(i32),
    /// It powered itself off.
    PoweredOff,
    /// It was told to quit, as its description asks.
    Quit,
    /// It panicked with this line.
    Panicked(String),
    /// It reset itself: a triple fault or a reboot.
    Reset,
    /// The hypervisor stopped it for this reason.
    Stopped(String),
    /// A virtiofsd that served it ended first, for this reason.
    Unserved(String),
    /// It did not stop in time and was killed.
    Killed,
    /// The hypervisor ended by itself, or something else ended it.
    Vmm(Exit),
}

/// What is known about a guest that has ended.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// The hypervisor's exit status; `None`: unknown.
    pub(super) status: Option<ExitStatus>,
    /// What the console showed.
    pub(super) seen: &'a Seen,
    /// What the monitor reported.
    pub(super) events: &'a [QmpEvent],
    /// How a virtiofsd that served it failed.
    pub(super) lost: Option<String>,
    /// It did not stop within the grace period.
    pub(super) overdue: bool,
    /// It was told to quit, as its description asks.
    pub(super) quit: bool,
    /// Its cgroup counted an OOM kill.
    pub(super) oom: bool,
}

impl End {
    /// Draws the conclusion. A panic takes precedence over its consequences, and the console over QEMU's exit code, which is nearly always 0.
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let reason = |word: &str| {
            let reasons = evidence.events.iter().filter_map(|event| event.reason.as_deref());
            reasons.into_iter().any(|reason| reason == word)
        };
        let event = |name: &str| evidence.events.iter().any(|event| event.name == name);
        if let Some(line) = &evidence.seen.panic {
            return Self::Panicked(line.clone());
        }
        if event("GUEST_PANICKED") || reason("guest-panic") {
            return Self::Panicked("the guest reported a panic to the hypervisor".into());
        }
        if let Some(how) = &evidence.lost {
            return Self::Unserved(how.clone());
        }
        if reason("guest-reset") && evidence.seen.exited.is_none() {
            return Self::Reset;
        }
        if let Some(state) = stopped(evidence.events) {
            return Self::Stopped(state);
        }
        match (
            evidence.status.map(|status| process::exit(status, false, evidence.oom)),
            evidence.overdue,
        ) {
            (Some(Exit::OutOfMemory), _) => Self::Vmm(Exit::OutOfMemory),
            (_, true) => Self::Killed,
            (Some(Exit::Code(0) | Exit::Signal(libc::SIGTERM)), false) if evidence.quit => Self::Quit,
            (Some(Exit::Code(0)), false) if reason("host-signal") => Self::Vmm(Exit::Signal(libc::SIGTERM)),
            (Some(Exit::Code(0)), false) => evidence.seen.exited.map_or(Self::PoweredOff, Self::Returned),
            (Some(exit), false) => Self::Vmm(exit),
            (None, false) => Self::Vmm(Exit::Unknown),
        }
    }

    /// The end as the protocol's [`Exit`].
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Returned(code) if *code < 0 => Exit::Signal(code.saturating_neg()),
            Self::Returned(code) => Exit::Code(*code),
            Self::PoweredOff | Self::Quit => Exit::Code(0),
            Self::Panicked(_) | Self::Reset | Self::Stopped(_) => Exit::Crashed,
            Self::Unserved(_) => Exit::Unserved,
            Self::Killed => Exit::Killed,
            Self::Vmm(exit) => match exit {
                Exit::Code(code) => Exit::Code(*code),
                Exit::Signal(signal) => Exit::Signal(*signal),
                Exit::OutOfMemory => Exit::OutOfMemory,
                Exit::Crashed => Exit::Crashed,
                Exit::Unserved => Exit::Unserved,
                Exit::Killed => Exit::Killed,
                Exit::Unknown => Exit::Unknown,
            },
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Returned(code) if *code < 0 => {
                write!(f, "the service in the guest was killed by signal {}", code.saturating_neg())
            }
            Self::Returned(code) => write!(f, "the service in the guest exited with code {code}"),
            Self::PoweredOff => f.write_str("the guest powered itself off"),
            Self::Quit => f.write_str("the hypervisor was told to quit, as the guest's description asks"),
            Self::Panicked(line) => write!(f, "the guest panicked: {line}"),
            Self::Reset => f.write_str("the guest reset itself: a triple fault or a reboot"),
            Self::Stopped(state) => write!(f, "the hypervisor stopped the guest: {state}"),
            Self::Unserved(how) => f.write_str(how),
            Self::Killed => f.write_str("the guest did not stop in time and was killed"),
            Self::Vmm(exit) => write!(f, "the hypervisor ended: {exit:?}"),
        }
    }
}

/// Why the machine was stopped for good without ending: a KVM error or a disk error. A machine is also stopped on its way to an ordinary end.
pub(super) fn stopped(events: &[QmpEvent]) -> Option<String> {
    let named = |name: &str| events.iter().any(|event| event.name == name);
    let on_its_way = named("SHUTDOWN") || named("RESET") || named("POWERDOWN") && !named("BLOCK_IO_ERROR");
    if !named("STOP") || on_its_way || named("RESUME") {
        return None;
    }
    let why = if named("BLOCK_IO_ERROR") {
        "disk I/O error"
    } else {
        "internal error of the hypervisor"
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    struct Case {
        status: i32,
        seen: Seen,
        events: &'static [(&'static str, Option<&'static str>)],
        overdue: bool,
        quit: bool,
    }

    fn clean() -> Case {
        Case {
            status: 0,
            seen: Seen::default(),
            events: &[("SHUTDOWN", Some("guest-shutdown"))],
            overdue: false,
            quit: false,
        }
    }

    fn end(case: &Case) -> End {
        let events: Vec<QmpEvent> = case
            .events
            .iter()
            .map(|(name, reason)| QmpEvent {
                name: (*name).into(),
                reason: reason.map(str::to_owned),
            })
            .collect();
        End::of(&Evidence {
            status: Some(ExitStatus::from_raw(case.status)),
            seen: &case.seen,
            events: &events,
            lost: None,
            overdue: case.overdue,
            quit: case.quit,
            oom: false,
        })
    }

    #[test]
    fn ends_are_classified() {
        let returned = |code| Seen {
            exited: Some(code),
            ..Seen::default()
        };
        let panicked = Seen {
            panic: Some("Aborted".into()),
            exited: Some(0),
            ..Seen::default()
        };
        let reset = &[("SHUTDOWN", Some("guest-reset"))];
        let cases = [
            (clean(), End::PoweredOff, Exit::Code(0)),
            (
                Case {
                    seen: returned(3),
                    ..clean()
                },
                End::Returned(3),
                Exit::Code(3),
            ),
            (
                Case {
                    seen: returned(-11),
                    ..clean()
                },
                End::Returned(-11),
                Exit::Signal(11),
            ),
            (
                Case {
                    seen: panicked,
                    ..clean()
                },
                End::Panicked("Aborted".into()),
                Exit::Crashed,
            ),
            (
                Case {
                    events: reset,
                    ..clean()
                },
                End::Reset,
                Exit::Crashed,
            ),
            (
                Case {
                    events: &[("STOP", None)],
                    status: 9,
                    overdue: true,
                    ..clean()
                },
                GuestEnd::Stopped("internal error of the hypervisor".into()),
                Exit::Crashed,
            ),
            (Case { quit: true, ..clean() }, End::Quit, Exit::Code(0)),
            (
                Case {
                    overdue: true,
                    ..clean()
                },
                End::Killed,
                Exit::Killed,
            ),
            (
                Case {
                    events: &[("SHUTDOWN", Some("host-signal"))],
                    ..clean()
                },
                End::Vmm(Exit::Signal(15)),
                Exit::Signal(15),
            ),
            (
                Case { status: 9, ..clean() },
                End::Vmm(Exit::Signal(9)),
                Exit::Signal(9),
            ),
            (
                Case {
                    status: 1 << 8,
                    ..clean()
                },
                End::Vmm(Exit::Code(1)),
                Exit::Code(1),
            ),
        ];
        for (case, expected, exit) in cases {
            let end = end(&case);
            assert_eq!(end, expected);
            assert_eq!(end.exit(), exit, "{end}");
        }
    }
}
