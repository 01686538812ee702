//! The protocol of one connection without I/O: bytes in, replies out.
//!
//! ```text
//!        head complete, no body: queue reply      body complete: queue reply
//!            +------+                                  |
//!            v      |                                  |
//! --------> Head ---+----- head complete, body ----> Body
//!            |                                         |
//!            | refused, or "Connection: close"         |
//!            v                                         |
//!         Closing <------------------------------------+
//! ```

use super::body::{Body, BodyError};
use super::head::{self, Head, Parsed};
use super::reply::{ConnectionHeader, Replies, ReplyId, Status};

/// Maximum number of queued replies; further pipelined requests are then left unread.
const MAX_QUEUED: usize = 16;

/// The state of a connection.
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
    /// No further requests are processed. `unread_input` if the client has sent, or may be sending, more.
    Closing {
        unread_input: bool,
    },
}

/// Ring buffer of queued replies, of fixed size.
#[derive(Debug)]
struct Queue {
    ids: [ReplyId; MAX_QUEUED],
    first: usize,
    len: usize,
    /// Bytes of the first reply that were sent.
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
    /// Processes the requests in `input` and queues their replies; returns the number of bytes consumed.
    ///
    /// The rest must be passed again together with the bytes that follow. With `shutting_down` the next
    /// reply closes the connection.
    pub fn feed(&mut self, input: &[u8], shutting_down: bool) -> usize {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let full = self.is_full();
            let used = match &mut self.phase {
                Phase::Closing { unread_input } => {
                    *unread_input |= !rest.is_empty();
                    return input.len();
                }
                Phase::Head if full => return at,
                Phase::Head => match head::parse(rest) {
                    Parsed::Incomplete => return at,
                    Parsed::Refused(status) => {
                        self.refuse(status);
                        rest.len()
                    }
                    Parsed::Complete(head) => self.start_request(&head, shutting_down),
                },
                Phase::Body { .. } if rest.is_empty() => return at,
                Phase::Body { body, reply, last } => match body.discard(rest) {
                    Ok((used, false)) => used,
                    Ok((used, true)) => {
                        let (reply, last) = (*reply, *last);
                        self.queue_reply(reply, last);
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

    /// Whether requests are left unread because too many replies are queued.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // One slot is reserved because a request may queue `100 Continue` and then its reply.
        self.queue.len + 1 >= MAX_QUEUED
    }

    /// Whether no further requests are processed; queued replies are still sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// Whether the client may still be sending although no further requests are processed.
    #[must_use]
    pub fn has_unread_input(&self) -> bool {
        matches!(self.phase, Phase::Closing { unread_input: true })
    }

    /// Whether it is between two requests and no replies are queued.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.queue.len == 0
    }

    /// The bytes to send next; empty if no replies are queued.
    #[must_use]
    pub fn to_send<'a>(&self, replies: &'a Replies) -> &'a [u8] {
        match self.queue.len {
            0 => &[],
            _ => &replies.bytes(self.queue.ids[self.queue.first])[self.queue.sent..],
        }
    }

    /// Fills `slices` with the queued replies for a vectored write; returns their number.
    pub fn gather<'a>(&self, replies: &'a Replies, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let count = self.queue.len.min(slices.len());
        for (nth, slice) in slices.iter_mut().enumerate().take(count) {
            let bytes = replies.bytes(self.queue.ids[(self.queue.first + nth) % MAX_QUEUED]);
            *slice = std::io::IoSlice::new(if nth == 0 { &bytes[self.queue.sent..] } else { bytes });
        }
        count
    }

    /// Number of queued replies.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len
    }

    /// Removes `bytes` sent bytes from the queue.
    pub fn sent(&mut self, replies: &Replies, mut bytes: usize) {
        let queue = &mut self.queue;
        while queue.len > 0 {
            let remaining = replies.bytes(queue.ids[queue.first]).len() - queue.sent;
            if bytes < remaining {
                queue.sent += bytes;
                return;
            }
            bytes -= remaining;
            queue.first = (queue.first + 1) % MAX_QUEUED;
            queue.len -= 1;
            queue.sent = 0;
        }
    }

    fn start_request(&mut self, head: &Head, shutting_down: bool) -> usize {
        let last = shutting_down || !head.keep_alive;
        let connection = match (last, head.http_1_0) {
            (true, _) => ConnectionHeader::Close,
            (false, true) => ConnectionHeader::KeepAlive,
            (false, false) => ConnectionHeader::None,
        };
        let reply = ReplyId::of(head.status, connection, head.head_only);
        match &head.body {
            None => self.queue_reply(reply, last),
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

    fn queue_reply(&mut self, reply: ReplyId, last: bool) {
        self.push(reply);
        self.phase = if last {
            Phase::Closing { unread_input: false }
        } else {
            Phase::Head
        };
    }

    fn refuse(&mut self, status: Status) {
        self.push(ReplyId::of(status, ConnectionHeader::Close, false));
        self.phase = Phase::Closing { unread_input: true };
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

    /// The replies to `pieces`, sent `step` bytes at a time, and whether the session is closing.
    fn answer(pieces: &[&[u8]], step: usize) -> (Vec<u8>, bool) {
        let replies = Replies::new(5);
        let (mut session, mut pending, mut out) = (Session::default(), Vec::new(), Vec::new());
        for piece in pieces {
            pending.extend_from_slice(piece);
            loop {
                let used = session.feed(&pending, false);
                pending.drain(..used);
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
        (out, session.is_closing())
    }

    fn whole(text: &str) -> (String, bool) {
        let (out, closing) = answer(&[text.as_bytes()], usize::MAX);
        (String::from_utf8(out).unwrap(), closing)
    }

    #[test]
    fn pipelined_requests_get_replies_in_order() {
        let one = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let missing = "GET /no HTTP/1.1\r\nHost: h\r\n\r\n";
        let (out, closing) = whole(&format!("{}{missing}{}", one.repeat(20), one.repeat(20)));
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
        assert!(!closing);
    }

    #[test]
    fn no_reply_follows_a_close_or_a_refusal() {
        let close = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let (out, closing) = whole(&close.repeat(3));
        assert!(closing && out.matches("HTTP/1.1").count() == 1 && out.ends_with("\r\n\r\nAAAAA"));
        let (out, closing) = whole(&format!("nonsense\r\n{close}"));
        assert!(closing && out.starts_with("HTTP/1.1 400 ") && out.matches("HTTP/1.1").count() == 1);
    }

    #[test]
    fn bodies_are_discarded_and_expect_continue_is_honoured() {
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
        fn replies_do_not_depend_on_how_the_input_is_split(
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
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in any::<prop::sample::Index>()) {
            let (a, b) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(answer(&[a, b], 7), answer(&[&bytes], usize::MAX));
        }
    }
}
