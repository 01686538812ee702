//! What a thread does with requests and connections whose time is over.

use super::connection::{Phase, Step};
use super::worker::{Deadline, Worker};
use crate::load::error::ErrorKind;
use crate::load::request::Request;
use crate::load::schedule::Arrival;

impl Worker<'_> {
    /// Gives up what is late.
    pub(super) fn expire(&mut self) {
        let now_ns = self.clock.now_ns();
        while let Some(deadline) = self.deadlines.front().copied() {
            let phase = self.phase_of(&deadline);
            if phase.is_some() && deadline.at_ns > now_ns {
                break;
            }
            self.deadlines.pop_front();
            if let Some(phase) = phase {
                let connecting = phase == Phase::Connecting;
                let kind = if connecting {
                    ErrorKind::ConnectTimeout
                } else {
                    ErrorKind::Timeout
                };
                self.take(deadline.token, Step::Failed(now_ns, kind));
            }
        }
        while let Some(arrival) = self
            .waiting
            .front()
            .filter(|a| a.at_ns + self.timeout_ns <= now_ns)
            .copied()
        {
            self.waiting.pop_front();
            self.never_sent(arrival, now_ns, ErrorKind::NotSent);
        }
        self.reset_left_open(now_ns);
    }

    /// The phase of the connection that carries the request of a deadline, if it is still under way.
    fn phase_of(&mut self, deadline: &Deadline) -> Option<Phase> {
        let connection = self.table.get(deadline.token)?;
        let call = connection.call.as_ref()?;
        (call.arrival.number == deadline.number).then_some(connection.phase)
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

    pub(super) fn never_sent(&mut self, arrival: Arrival, now_ns: u64, kind: ErrorKind) {
        self.tally.record(&Request {
            intended_ns: arrival.at_ns,
            sent_ns: None,
            connected_ns: None,
            first_byte_ns: None,
            done_ns: now_ns,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            connection: u32::MAX,
            thread: self.lane(),
            error: Some(kind),
            warm_up: arrival.warm_up,
        });
    }

    /// Ends everything under way; what was not due yet never happened.
    pub(super) fn cancel(&mut self) {
        let now_ns = self.clock.now_ns();
        self.next = None;
        for arrival in std::mem::take(&mut self.waiting) {
            self.never_sent(arrival, now_ns, ErrorKind::Cancelled);
        }
        for token in self.table.busy() {
            self.fail(token, now_ns, ErrorKind::Cancelled);
        }
    }
}
