//! The protocol of one connection, without the socket: bytes in, replies out.
//!
//! ```text
//!          head read, no body: reply queued          body read: reply queued
//!            +------+                                  |
//!            v      |                                  |
//! --------> Head ---+------- head read, body ------> Body
//!            |                                         |
//!            | refused, or "Connection: close"         |
//!            v                                         |
//!          Over  <-------------------------------------+
//! ```

use super::body::{Body, BodyError};
use super::head::{self, Head, Parsed};
use super::reply::{Form, Replies, ReplyId, Status};

/// Most replies waiting to be sent; further requests of a pipeline are then left unread.
const MAX_QUEUED: usize = 16;

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    queue: Queue,
}

#[derive(Debug)]
enum Phase {
    Head,
    Body {
        body: Body,
        reply: ReplyId,
        last: bool,
    },
    /// `more` if the client sent, or may be sending, what is not read any more.
    Over {
        more: bool,
    },
}

/// Replies not yet sent, a ring that never grows.
#[derive(Debug)]
struct Queue {
    ids: [ReplyId; MAX_QUEUED],
    first: usize,
    len: usize,
    /// Bytes of the first reply that are sent.
    sent: usize,
}

impl Default for Session {
    fn default() -> Self {
        let queue = Queue {
            ids: [ReplyId::CONTINUE; MAX_QUEUED],
            first: 0,
            len: 0,
            sent: 0,
        };
        Self {
            phase: Phase::Head,
            queue,
        }
    }
}

impl Session {
    /// Takes requests out of `input` and queues their replies; returns how many bytes were used.
    ///
    /// The rest must be offered again with what follows it. With `ending` the next reply says that the
    /// connection closes.
    pub fn feed(&mut self, input: &[u8], ending: bool) -> usize {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let full = self.is_full();
            let used = match &mut self.phase {
                Phase::Over { more } => {
                    *more |= !rest.is_empty();
                    return input.len();
                }
                Phase::Head if full => return at,
                Phase::Head => match head::parse(rest) {
                    Parsed::Incomplete => return at,
                    Parsed::Refused(status) => {
                        self.refuse(status);
                        rest.len()
                    }
                    Parsed::Complete(head) => self.begin(&head, ending),
                },
                Phase::Body { .. } if rest.is_empty() => return at,
                Phase::Body { body, reply, last } => match body.drop_from(rest) {
                    Ok((used, false)) => used,
                    Ok((used, true)) => {
                        let (reply, last) = (*reply, *last);
                        self.answer(reply, last);
                        used
                    }
                    Err(BodyError::Malformed) => {
                        self.refuse(Status::BadRequest);
                        rest.len()
                    }
                    Err(BodyError::TooLarge) => {
                        self.refuse(Status::BodyTooLarge);
                        rest.len()
                    }
                },
            };
            at += used;
        }
    }

    /// Whether requests are left unread because too many replies wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // One place is kept, as a request may queue `100 Continue` and later its reply.
        self.queue.len + 1 >= MAX_QUEUED
    }

    /// Whether nothing more will be answered; what is queued is still to be sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether the client may still be sending although nothing more will be answered.
    #[must_use]
    pub fn has_more(&self) -> bool {
        matches!(self.phase, Phase::Over { more: true })
    }

    /// Whether it is between two requests with nothing to send.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.queue.len == 0
    }

    /// The bytes to send next; empty if nothing waits.
    #[must_use]
    pub fn to_send<'a>(&self, replies: &'a Replies) -> &'a [u8] {
        match self.queue.len {
            0 => &[],
            _ => &replies.bytes(self.queue.ids[self.queue.first])[self.queue.sent..],
        }
    }

    /// All replies that wait, in order, for one gathered write; returns how many were put in `slices`.
    pub fn gather<'a>(&self, replies: &'a Replies, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let count = self.queue.len.min(slices.len());
        for (nth, slice) in slices.iter_mut().enumerate().take(count) {
            let bytes = replies.bytes(self.queue.ids[(self.queue.first + nth) % MAX_QUEUED]);
            *slice = std::io::IoSlice::new(if nth == 0 { &bytes[self.queue.sent..] } else { bytes });
        }
        count
    }

    /// How many replies wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len
    }

    /// Notes that so many of the waiting bytes were sent.
    pub fn sent(&mut self, replies: &Replies, mut bytes: usize) {
        let queue = &mut self.queue;
        while queue.len > 0 {
            let left = replies.bytes(queue.ids[queue.first]).len() - queue.sent;
            if bytes < left {
                queue.sent += bytes;
                return;
            }
            bytes -= left;
            queue.first = (queue.first + 1) % MAX_QUEUED;
            queue.len -= 1;
            queue.sent = 0;
        }
    }

    fn begin(&mut self, head: &Head, ending: bool) -> usize {
        let last = ending || !head.keep_alive;
        let form = match (last, head.old) {
            (true, _) => Form::Close,
            (false, true) => Form::KeepAlive,
            (false, false) => Form::Open,
        };
        let reply = ReplyId::of(head.status, form, head.head_only);
        match &head.body {
            None => self.answer(reply, last),
            Some(body) => {
                if head.expects_continue {
                    self.push(ReplyId::CONTINUE);
                }
                self.phase = Phase::Body {
                    body: body.clone(),
                    reply,
                    last,
                };
            }
        }
        head.len
    }

    fn answer(&mut self, reply: ReplyId, last: bool) {
        self.push(reply);
        self.phase = if last { Phase::Over { more: false } } else { Phase::Head };
    }

    fn refuse(&mut self, status: Status) {
        self.push(ReplyId::of(status, Form::Close, false));
        self.phase = Phase::Over { more: true };
    }

    fn push(&mut self, reply: ReplyId) {
        let queue = &mut self.queue;
        queue.ids[(queue.first + queue.len) % MAX_QUEUED] = reply;
        queue.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a session answers to `pieces`, sent a few bytes at a time.
    fn answer(pieces: &[&[u8]], step: usize) -> (Vec<u8>, bool) {
        let replies = Replies::new(5);
        let (mut session, mut held, mut out) = (Session::default(), Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                let used = session.feed(&held, false);
                held.drain(..used);
                let waiting = session.queued();
                while session.queued() > 0 {
                    let bytes = session.to_send(&replies);
                    let some = bytes.len().min(step);
                    out.extend_from_slice(&bytes[..some]);
                    session.sent(&replies, some);
                }
                if waiting == 0 {
                    break;
                }
            }
        }
        (out, session.is_over())
    }

    fn whole(text: &str) -> (String, bool) {
        let (out, over) = answer(&[text.as_bytes()], usize::MAX);
        (String::from_utf8(out).unwrap(), over)
    }

    #[test]
    fn pipelined_requests_are_answered_in_order() {
        let one = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let missing = "GET /no HTTP/1.1\r\nHost: h\r\n\r\n";
        let (out, over) = whole(&format!("{}{missing}{}", one.repeat(20), one.repeat(20)));
        let statuses: Vec<_> = out
            .match_indices("HTTP/1.1 ")
            .map(|(at, _)| &out[at + 9..at + 12])
            .collect();
        assert_eq!(statuses.len(), 41);
        assert!(
            statuses
                .iter()
                .enumerate()
                .all(|(n, s)| *s == if n == 20 { "404" } else { "200" })
        );
        assert!(!over);
    }

    #[test]
    fn nothing_follows_a_close_or_a_refusal() {
        let close = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let (out, over) = whole(&close.repeat(3));
        assert!(over && out.matches("HTTP/1.1").count() == 1 && out.ends_with("\r\n\r\nAAAAA"));
        let (out, over) = whole(&format!("nonsense\r\n{close}"));
        assert!(over && out.starts_with("HTTP/1.1 400 ") && out.matches("HTTP/1.1").count() == 1);
    }

    #[test]
    fn bodies_are_dropped_and_a_waiting_client_is_told_to_go_on() {
        let (out, _) = whole(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nGET GET / HTTP/1.0\r\n\r\n",
        );
        assert!(out.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
        assert_eq!(out.matches("200 OK").count(), 2);
    }

    const REQUESTS: [&str; 9] = [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD /?q HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nxy",
        "\r\nGET /missing HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];

    proptest! {
        #[test]
        fn the_split_does_not_matter(
            which in prop::collection::vec(0..REQUESTS.len(), 1..30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            step in 1_usize..300,
        ) {
            let text: String = which.iter().map(|n| REQUESTS[*n]).collect();
            let mut cuts: Vec<_> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
            prop_assert_eq!(answer(&pieces, step), answer(&[text.as_bytes()], usize::MAX));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in any::<prop::sample::Index>()) {
            let (a, b) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(answer(&[a, b], 7), answer(&[&bytes], usize::MAX));
        }
    }
}
