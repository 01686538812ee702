//! What is kept of every request.

use super::error::ErrorKind;

/// One request, as it went. Times are ns from the start of the run; see the [module](super) for what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// When the schedule wanted it sent.
    pub intended_ns: u64,
    /// When it was sent; `None` if it never was.
    pub sent_ns: Option<u64>,
    /// When its connection was up; `None` if that did not happen or the connection was open before.
    pub connected_ns: Option<u64>,
    /// When the first bytes of the reply had been read.
    pub first_byte_ns: Option<u64>,
    /// When the reply was complete, or the request given up.
    pub done_ns: u64,
    /// What it was, as a place in the labels of the load.
    pub label: u16,
    /// Status of the reply, 0 without one.
    pub status: u16,
    /// Bytes read, heads included. Values of 4 GiB and more are kept as 4 GiB - 1.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Number of its connection, counted from 0 in each thread.
    pub connection: u32,
    /// The thread that sent it.
    pub thread: u8,
    /// Why it failed.
    pub error: Option<ErrorKind>,
    /// Whether it was intended before the measured window.
    pub warm_up: bool,
}

impl Request {
    /// Response time: done - intended, ns.
    #[must_use]
    pub fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }

    /// Service time: done - sent, ns.
    #[must_use]
    pub fn service_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent| self.done_ns.saturating_sub(sent))
    }

    /// Lag of the generator: sent - intended, ns.
    #[must_use]
    pub fn lag_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent| sent.saturating_sub(self.intended_ns))
    }

    /// Connect time: connected - sent, ns.
    #[must_use]
    pub fn connect_ns(&self) -> Option<u64> {
        Some(self.connected_ns?.saturating_sub(self.sent_ns?))
    }
}

/// A request in 64 bytes.
#[derive(Debug, Clone, Copy)]
struct Record {
    intended_ns: u64,
    sent_ns: u64,
    connected_ns: u64,
    first_byte_ns: u64,
    done_ns: u64,
    bytes_in: u32,
    connection: u32,
    bytes_out: u32,
    label: u16,
    status: u16,
    /// Place in [`ErrorKind::ALL`], or [`NO_ERROR`].
    error: u8,
    thread: u8,
    warm_up: bool,
}

const _: () = assert!(size_of::<Record>() == 64);

/// A time that did not happen.
const NEVER: u64 = u64::MAX;
const NO_ERROR: u8 = u8::MAX;

/// The requests of a run: in the order of their end within each thread, threads one after another.
///
/// Its form in memory is its own business, so that it can move to disk without a change for readers.
#[derive(Debug, Default)]
pub struct RequestLog {
    threads: Vec<Vec<Record>>,
}

impl RequestLog {
    /// A log of one thread with room for so many requests, so that the run itself never allocates.
    pub(super) fn with_capacity(requests: usize) -> Self {
        Self {
            threads: vec![Vec::with_capacity(requests)],
        }
    }

    pub(super) fn push(&mut self, request: &Request) {
        if let Some(log) = self.threads.last_mut() {
            log.push(Record::from(request));
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.threads.append(&mut other.threads);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.threads.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Request> + '_ {
        self.threads.iter().flatten().map(Request::from)
    }
}

impl From<&Request> for Record {
    fn from(request: &Request) -> Self {
        Self {
            intended_ns: request.intended_ns,
            sent_ns: request.sent_ns.unwrap_or(NEVER),
            connected_ns: request.connected_ns.unwrap_or(NEVER),
            first_byte_ns: request.first_byte_ns.unwrap_or(NEVER),
            done_ns: request.done_ns,
            bytes_in: u32::try_from(request.bytes_in).unwrap_or(u32::MAX),
            connection: request.connection,
            bytes_out: u32::try_from(request.bytes_out).unwrap_or(u32::MAX),
            label: request.label,
            status: request.status,
            error: request.error.map_or(NO_ERROR, |kind| kind as u8),
            thread: request.thread,
            warm_up: request.warm_up,
        }
    }
}

impl From<&Record> for Request {
    fn from(record: &Record) -> Self {
        let happened = |ns| (ns != NEVER).then_some(ns);
        Self {
            intended_ns: record.intended_ns,
            sent_ns: happened(record.sent_ns),
            connected_ns: happened(record.connected_ns),
            first_byte_ns: happened(record.first_byte_ns),
            done_ns: record.done_ns,
            label: record.label,
            status: record.status,
            bytes_in: record.bytes_in.into(),
            bytes_out: record.bytes_out.into(),
            connection: record.connection,
            thread: record.thread,
            error: ErrorKind::ALL.get(usize::from(record.error)).copied(),
            warm_up: record.warm_up,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_logged_is_read_back(
            times in any::<[Option<u32>; 3]>(), ends in any::<(u32, u32)>(), bytes in any::<(u32, u32)>(),
            error in prop::option::of(0..ErrorKind::ALL.len()), rest in any::<(u16, u32, u8, bool, u16)>(),
        ) {
            let request = Request {
                intended_ns: ends.0.into(), sent_ns: times[0].map(Into::into), connected_ns: times[1].map(Into::into),
                first_byte_ns: times[2].map(Into::into), done_ns: ends.1.into(), status: rest.0, label: rest.4,
                bytes_in: bytes.0.into(), bytes_out: bytes.1.into(), connection: rest.1, thread: rest.2,
                error: error.map(|at| ErrorKind::ALL[at]), warm_up: rest.3,
            };
            let mut log = RequestLog::with_capacity(1);
            log.push(&request);
            prop_assert_eq!(log.iter().collect::<Vec<_>>(), vec![request]);
        }
    }
}
