//! What a loader brings, piece by piece, until all is there.

use std::path::Path;

use loader::jung::reply::Commanded;
use protocol::load::{Chunk, Fired, Stream};

use loader::wire::{Chunks, from_fired};
use loader::wire::{commands_from_lines, unpack};
use loader::{Outcome, ReceivedLog};

/// What came so far.
#[derive(Debug)]
pub struct Gathering {
    requests: ReceivedLog,
    accepted: Vec<Commanded>,
    chunks: Chunks,
    fired: Option<Box<Fired>>,
}

/// All that a loader brought.
#[derive(Debug)]
pub struct Brought {
    /// What it measured; the clock of its start is in `start_clock_ns`.
    pub outcome: Outcome,
    /// When its load began, on its own clock, ns.
    pub start_clock_ns: u64,
    /// What the services accepted.
    pub accepted: Vec<Commanded>,
}

impl Gathering {
    /// Nothing yet; requests are kept in a file without a name in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            requests: ReceivedLog::new(folder),
            accepted: Vec::new(),
            chunks: Chunks::default(),
            fired: None,
        }
    }

    /// Takes a chunk in; one that came before changes nothing.
    ///
    /// # Errors
    /// A chunk that cannot be read, or that comes after one that is missing.
    pub fn chunk(&mut self, chunk: &Chunk) -> Result<(), String> {
        let next = match chunk.of {
            Stream::Requests => &mut self.chunks.requests,
            Stream::Accepted => &mut self.chunks.accepted,
        };
        if chunk.number < *next {
            return Ok(());
        }
        if chunk.number > *next {
            return Err(format!("chunk {next} is missing, chunk {} came", chunk.number));
        }
        *next += 1;
        let unreadable = |why: String| format!("chunk {} cannot be read: {why}", chunk.number);
        let bytes = unpack(&chunk.data).map_err(unreadable)?;
        match chunk.of {
            Stream::Requests => self
                .requests
                .push(&bytes)
                .map_err(|error| unreadable(error.to_string())),
            Stream::Accepted => {
                let commands = commands_from_lines(&bytes).map_err(|error| unreadable(error.to_string()))?;
                self.accepted.extend(commands);
                Ok(())
            }
        }
    }

    /// Takes the sum in.
    pub fn fired(&mut self, fired: Box<Fired>) {
        self.fired.get_or_insert(fired);
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.fired.as_ref().is_some_and(|fired| {
            self.chunks.requests >= fired.request_chunks && self.chunks.accepted >= fired.accepted_chunks
        })
    }

    /// All of it.
    ///
    /// # Errors
    /// What does not agree, in words.
    pub fn finish(self) -> Result<Brought, String> {
        let fired = self.fired.ok_or("FIRED never came")?;
        let (came, sent) = (self.requests.requests(), fired.requests);
        let counted = fired.window.due.saturating_add(fired.warm_up.due);
        if came != sent || came != counted {
            return Err(format!(
                "{came} requests came of {sent} that were sent and {counted} that were counted"
            ));
        }
        Ok(Brought {
            outcome: from_fired(&fired, self.requests.finish())?,
            start_clock_ns: fired.start_clock_ns,
            accepted: self.accepted,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use loader::wire::pack;
    use loader::wire::to_fired;
    use loader::{Control, Engine as _, Idle, Request};

    fn sum(due: u64, requests: u64, request_chunks: u64) -> Box<Fired> {
        let mut outcome = Idle::new(Duration::from_millis(1)).run(&Control::new()).unwrap();
        outcome.counts.due = due;
        let chunks = Chunks {
            requests: request_chunks,
            accepted: 0,
        };
        Box::new(to_fired(&outcome, requests, chunks).unwrap())
    }

    fn chunk(number: u64, requests: usize) -> Chunk {
        Chunk {
            of: Stream::Requests,
            number,
            data: pack(&vec![0; requests * 64]).unwrap(),
        }
    }

    fn gathering() -> Gathering {
        Gathering::new(&std::env::temp_dir())
    }

    #[test]
    fn all_is_there_whatever_comes_twice_and_whichever_topic_is_faster() {
        let mut gathering = gathering();
        gathering.chunk(&chunk(0, 2)).unwrap();
        gathering.fired(sum(5, 5, 2));
        gathering.chunk(&chunk(0, 2)).unwrap();
        assert!(!gathering.is_complete());
        gathering.chunk(&chunk(1, 3)).unwrap();
        assert!(gathering.is_complete());
        let requests: Vec<Request> = {
            let outcome = gathering.finish().unwrap().outcome;
            outcome.requests.read().unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(requests.len(), 5);
    }

    #[test]
    fn what_is_missing_or_odd_is_told() {
        let mut skips = gathering();
        assert!(skips.chunk(&chunk(1, 1)).unwrap_err().contains("chunk 0 is missing"));
        let mut odd = gathering();
        let garbage = Chunk {
            data: "!".into(),
            ..chunk(0, 1)
        };
        assert!(odd.chunk(&garbage).unwrap_err().contains("cannot be read"));
        for (due, requests) in [(3, 2), (2, 3)] {
            let mut short = gathering();
            short.chunk(&chunk(0, 2)).unwrap();
            short.fired(sum(due, requests, 1));
            assert!(short.finish().unwrap_err().contains("2 requests came"));
        }
        assert!(gathering().finish().unwrap_err().contains("FIRED"));
    }
}
