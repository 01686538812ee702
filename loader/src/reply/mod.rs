//! Reads replies of HTTP/1.1 and HTTP/1.0, and checks them, without a socket: bytes in, verdict out.
//!
//! ```text
//!            1xx            length, chunks or end of connection        last byte
//!          +-----+
//!          v     |
//! ------> Head --+---------------------> body ---------------------------> Done
//! ```
//! A reply that is framed right but has the wrong status, length or bytes is still read to its end,
//! so that a kept-alive connection stays usable and the load on the server is the same; the fault is
//! told at the end. What breaks the framing is told at once.

mod chunked;
mod head;

use super::error::ErrorKind;
use super::target::{BodyRule, Expect};
use chunked::Chunked;
use head::{Framing, Parsed};

/// Reader of one connection's replies; it is reused from one to the next.
#[derive(Debug)]
pub struct ReplyReader {
    state: State,
    /// The bytes of a head that did not come in one piece.
    held: Vec<u8>,
    status: u16,
    keeps_alive: bool,
    body_bytes: u64,
    /// The body so far, where a judge has to see all of it.
    kept: Vec<u8>,
    fault: Option<ErrorKind>,
}

/// The longest body that is kept for a judge, bytes; a longer one is wrong.
const KEPT: usize = 16 << 20;

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

/// What became of the bytes that were fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// All belong to the reply, and it goes on.
    More,
    /// The reply ended after so many of them; [`ReplyReader::verdict`] says how it is.
    Done(usize),
}

impl ReplyReader {
    /// A reader at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Head,
            held: Vec::new(),
            status: 0,
            keeps_alive: false,
            body_bytes: 0,
            kept: Vec::new(),
            fault: None,
        }
    }

    /// Makes it ready for the next reply.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.held.clear();
        self.status = 0;
        self.keeps_alive = false;
        self.body_bytes = 0;
        self.kept.clear();
        self.fault = None;
    }

    /// Takes bytes as they were read, and holds them against what is expected, the same from head to end. The error is one that breaks the framing: the connection is lost.
    pub fn feed(&mut self, input: &[u8], expect: &Expect) -> Result<Fed, ErrorKind> {
        let mut at = 0;
        while let State::Head = self.state {
            match self.feed_head(&input[at..], expect)? {
                Some(used) => at += used,
                None => return Ok(Fed::More),
            }
        }
        let rest = &input[at..];
        let rule = self.fault.is_none().then_some(&expect.body);
        let (mut right, mut seen) = (true, self.body_bytes);
        let kept = &mut self.kept;
        let mut check = |piece: &[u8]| {
            if let Some(BodyRule::Judged(_)) = rule {
                right &= kept.len() + piece.len() <= KEPT;
                kept.extend_from_slice(if right { piece } else { &[] });
            }
            right &= rule.is_none_or(|rule| rule.allows(piece, seen));
            seen += piece.len() as u64;
        };
        let (used, bytes, done) = match &mut self.state {
            State::Length(left) => {
                let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                check(&rest[..taken]);
                *left -= taken as u64;
                (taken, taken as u64, *left == 0)
            }
            State::Chunked(chunked) => chunked.feed(rest, check)?,
            State::UntilClose => {
                check(rest);
                (rest.len(), rest.len() as u64, false)
            }
            State::Head | State::Done => (0, 0, true),
        };
        self.body_bytes += bytes;
        if !right {
            self.fault = Some(ErrorKind::WrongBody);
        }
        if done {
            self.finish(expect);
            return Ok(Fed::Done(at + used));
        }
        Ok(Fed::More)
    }

    /// The connection was closed: says whether the reply is complete by that.
    pub fn end(&mut self, expect: &Expect) -> Result<(), ErrorKind> {
        match self.state {
            State::Head => Err(ErrorKind::ClosedEarly),
            State::Length(_) | State::Chunked(_) => Err(ErrorKind::ShortBody),
            State::UntilClose => {
                self.finish(expect);
                Ok(())
            }
            State::Done => Ok(()),
        }
    }

    /// Whether a complete reply is the expected one.
    pub fn verdict(&self) -> Result<(), ErrorKind> {
        self.fault.map_or(Ok(()), Err)
    }

    /// The status of the reply, 0 before its head is complete.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the server keeps the connection open after a complete reply.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Looks for a head; returns how many bytes of `input` it took, or `None` if more are needed.
    fn feed_head(&mut self, input: &[u8], expect: &Expect) -> Result<Option<usize>, ErrorKind> {
        let before = self.held.len();
        let parsed = if before == 0 {
            head::parse(input)?
        } else {
            self.held.extend_from_slice(input);
            head::parse(&self.held)?
        };
        let Parsed::Complete(reply) = parsed else {
            if before == 0 {
                self.held.extend_from_slice(input);
            }
            return Ok(None);
        };
        self.held.clear();
        if !reply.is_interim() {
            self.begin(&reply, expect);
        }
        Ok(Some(reply.len - before))
    }

    fn begin(&mut self, reply: &head::Head, expect: &Expect) {
        self.status = reply.status;
        self.keeps_alive = reply.keeps_alive;
        let announced = match reply.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let expected = expect.body.length();
        if reply.status != expect.status {
            self.fault = Some(ErrorKind::WrongStatus);
        } else if announced.is_some() && expected.is_some() && announced != expected {
            self.fault = Some(ErrorKind::WrongLength);
        }
        self.state = match reply.framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::default()),
            Framing::UntilClose => State::UntilClose,
        };
    }

    fn finish(&mut self, expect: &Expect) {
        self.state = State::Done;
        if self.fault != Some(ErrorKind::WrongStatus) && !expect.body.allows_length(self.body_bytes) {
            self.fault = Some(ErrorKind::WrongLength);
        }
        if let BodyRule::Judged(judge) = &expect.body
            && self.fault.is_none()
            && !judge.allows(&self.kept)
        {
            self.fault = Some(ErrorKind::WrongBody);
        }
    }
}

impl Default for ReplyReader {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
