//! What a pace asks of the connections.

use mio::Token;

use super::Carrier;
use super::connection::{Connection, Due, Phase, Step, UnderWay};
use super::wire::Wire;
use crate::error::ErrorKind;

impl<'a> Carrier<'a> for Wire<'a> {
    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn take_idle(&mut self) -> Option<Token> {
        self.table.take_idle()
    }

    fn release(&mut self, token: Token) {
        self.table.release(token);
    }

    fn has_room(&self) -> bool {
        self.table.has_room()
    }

    fn send(&mut self, token: Token, due: Due<'a>) -> bool {
        if self.table.get(token).is_none_or(|c| c.phase != Phase::Idle) {
            return false;
        }
        let request = self.begin(due, token);
        let clock = self.clock;
        let Some(connection) = self.table.get(token) else {
            return false;
        };
        if let Step::Failed(now_ns, kind) = connection.send(request, clock) {
            self.fail(token, now_ns, kind);
        }
        true
    }

    fn connect(&mut self, due: Due<'a>) {
        let (token, number) = self.table.reserve();
        let request = self.begin(due, token);
        let opened = Connection::open(due.call.address, number, request).and_then(|mut connection| {
            if self.keeps_alive {
                connection.stream.set_nodelay(true)?;
            }
            self.watch(&mut connection, token)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => self.table.insert(connection),
            Err(error) => {
                let now_ns = self.clock.now_ns();
                self.end(&request, 0, number, Some(ErrorKind::of_connect(&error)), now_ns, None);
            }
        }
    }

    fn never_sent(&mut self, due: Due<'a>, now_ns: u64, kind: ErrorKind) {
        let mut record = UnderWay::new(due, 0, now_ns).end(now_ns, 0, u32::MAX, Some(kind));
        record.sent_ns = None;
        self.record(record);
    }
}
