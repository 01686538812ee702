//! What a thread does with requests and connections whose time is over.

use super::connection::{Phase, Step};
use super::wire::{Deadline, Wire};
use crate::error::ErrorKind;

impl Wire<'_> {
    /// Gives up what is late.
    pub(super) fn expire(&mut self, now_ns: u64) {
        while let Some(deadline) = self.deadlines.front().copied() {
            let phase = self.phase_of(&deadline);
            if phase.is_some() && deadline.at_ns > now_ns {
                break;
            }
            self.deadlines.pop_front();
            if let Some(phase) = phase {
                let kind = if phase == Phase::Connecting {
                    ErrorKind::ConnectTimeout
                } else {
                    ErrorKind::Timeout
                };
                self.take(deadline.token, Step::Failed(now_ns, kind));
            }
        }
        self.reset_left_open(now_ns);
    }

    /// The next moment at which something is late, ns.
    pub(super) fn late_ns(&self) -> Option<u64> {
        let given_up = self.deadlines.front().map(|deadline| deadline.at_ns);
        let reset = self.closing.front().map(|(at_ns, _)| *at_ns);
        given_up.into_iter().chain(reset).min()
    }

    /// The phase of the connection that carries the request of a deadline, if it is still under way.
    fn phase_of(&mut self, deadline: &Deadline) -> Option<Phase> {
        let connection = self.table.get(deadline.token)?;
        let request = connection.request.as_ref()?;
        (request.serial == deadline.serial).then_some(connection.phase)
    }

    fn reset_left_open(&mut self, now_ns: u64) {
        while let Some((at_ns, token)) = self.closing.front().copied() {
            if self.table.get(token).is_some() {
                if at_ns > now_ns {
                    return;
                }
                self.tally.left_open += 1;
                self.take(token, Step::Failed(now_ns, ErrorKind::Timeout));
            }
            self.closing.pop_front();
        }
    }

    /// Ends everything under way.
    pub(super) fn cancel(&mut self, now_ns: u64) {
        for token in self.table.busy() {
            self.fail(token, now_ns, ErrorKind::Cancelled);
        }
    }
}
