//! How a guest ended, as the hypervisor's exit status, its monitor and the console show it.

use std::process::ExitStatus;

use protocol::summary::Exit;

use super::console::ConsoleState;
use super::qmp::QmpEvent;
use crate::guest::GuestEnd;
use crate::process;

/// What is known about a guest that has ended.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// The hypervisor's exit status; `None`: unknown.
    pub(super) status: Option<ExitStatus>,
    /// What the console showed.
    pub(super) console: &'a ConsoleState,
    /// What the monitor reported.
    pub(super) events: &'a [QmpEvent],
    /// How a virtiofsd that served it failed.
    pub(super) share_failure: Option<String>,
    /// It did not stop within the grace period.
    pub(super) overdue: bool,
    /// It was told to quit, as its description asks.
    pub(super) quit: bool,
    /// Its cgroup counted an OOM kill.
    pub(super) oom: bool,
}

impl Evidence<'_> {
    /// Draws the conclusion. A panic takes precedence over its consequences, and the console over QEMU's exit code, which is nearly always 0.
    pub(super) fn conclude(&self) -> GuestEnd {
        let reason = |word: &str| {
            let reasons = self.events.iter().filter_map(|event| event.reason.as_deref());
            reasons.into_iter().any(|reason| reason == word)
        };
        let event = |name: &str| self.events.iter().any(|event| event.name == name);
        if let Some(line) = &self.console.panic {
            return GuestEnd::Panicked(line.clone());
        }
        if event("GUEST_PANICKED") || reason("guest-panic") {
            return GuestEnd::Panicked("the guest reported a panic to the hypervisor".into());
        }
        if let Some(how) = &self.share_failure {
            return GuestEnd::Unserved(how.clone());
        }
        if reason("guest-reset") && self.console.exited.is_none() {
            return GuestEnd::Reset;
        }
        if let Some(state) = stop_reason(self.events) {
            return GuestEnd::Stopped(state);
        }
        match (
            self.status.map(|status| process::exit(status, false, self.oom)),
            self.overdue,
        ) {
            (Some(Exit::OutOfMemory), _) => GuestEnd::Vmm(Exit::OutOfMemory),
            (_, true) => GuestEnd::Killed,
            (Some(Exit::Code(0) | Exit::Signal(libc::SIGTERM)), false) if self.quit => GuestEnd::Quit,
            (Some(Exit::Code(0)), false) if reason("host-signal") => GuestEnd::Vmm(Exit::Signal(libc::SIGTERM)),
            (Some(Exit::Code(0)), false) => self.console.exited.map_or(GuestEnd::PoweredOff, GuestEnd::Returned),
            (Some(exit), false) => GuestEnd::Vmm(exit),
            (None, false) => GuestEnd::Vmm(Exit::Unknown),
        }
    }
}

/// Why the machine was stopped for good without ending: a KVM error or a disk error. A machine is also stopped on its way to an ordinary end.
pub(super) fn stop_reason(events: &[QmpEvent]) -> Option<String> {
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
        seen: ConsoleState,
        events: &'static [(&'static str, Option<&'static str>)],
        overdue: bool,
        quit: bool,
    }

    fn clean() -> Case {
        Case {
            status: 0,
            seen: ConsoleState::default(),
            events: &[("SHUTDOWN", Some("guest-shutdown"))],
            overdue: false,
            quit: false,
        }
    }

    fn end(case: &Case) -> GuestEnd {
        let events: Vec<QmpEvent> = case
            .events
            .iter()
            .map(|(name, reason)| QmpEvent {
                name: (*name).into(),
                reason: reason.map(str::to_owned),
            })
            .collect();
        Evidence {
            status: Some(ExitStatus::from_raw(case.status)),
            console: &case.seen,
            events: &events,
            share_failure: None,
            overdue: case.overdue,
            quit: case.quit,
            oom: false,
        }
        .conclude()
    }

    #[test]
    fn ends_are_classified() {
        let returned = |code| ConsoleState {
            exited: Some(code),
            ..ConsoleState::default()
        };
        let panicked = ConsoleState {
            panic: Some("Aborted".into()),
            exited: Some(0),
            ..ConsoleState::default()
        };
        let reset = &[("SHUTDOWN", Some("guest-reset"))];
        let cases = [
            (clean(), GuestEnd::PoweredOff, Exit::Code(0)),
            (
                Case {
                    seen: returned(3),
                    ..clean()
                },
                GuestEnd::Returned(3),
                Exit::Code(3),
            ),
            (
                Case {
                    seen: returned(-11),
                    ..clean()
                },
                GuestEnd::Returned(-11),
                Exit::Signal(11),
            ),
            (
                Case {
                    seen: panicked,
                    ..clean()
                },
                GuestEnd::Panicked("Aborted".into()),
                Exit::Crashed,
            ),
            (
                Case {
                    events: reset,
                    ..clean()
                },
                GuestEnd::Reset,
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
            (Case { quit: true, ..clean() }, GuestEnd::Quit, Exit::Code(0)),
            (
                Case {
                    overdue: true,
                    ..clean()
                },
                GuestEnd::Killed,
                Exit::Killed,
            ),
            (
                Case {
                    events: &[("SHUTDOWN", Some("host-signal"))],
                    ..clean()
                },
                GuestEnd::Vmm(Exit::Signal(15)),
                Exit::Signal(15),
            ),
            (
                Case { status: 9, ..clean() },
                GuestEnd::Vmm(Exit::Signal(9)),
                Exit::Signal(9),
            ),
            (
                Case {
                    status: 1 << 8,
                    ..clean()
                },
                GuestEnd::Vmm(Exit::Code(1)),
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
