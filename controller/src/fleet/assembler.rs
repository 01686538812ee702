//! Assembles the result of a loader from its messages.

use std::path::Path;

use loader::jung::reply::Commanded;
use protocol::load::{Chunk, Fired, Stream};

use loader::wire::{Chunks, from_fired};
use loader::wire::{commands_from_lines, unpack};
use loader::{Outcome, ReceivedLog};

/// The messages received so far.
#[derive(Debug)]
pub struct ResultAssembler {
    requests: ReceivedLog,
    accepted: Vec<Commanded>,
    chunks: Chunks,
    fired: Option<Box<Fired>>,
}

/// The result of a loader.
#[derive(Debug)]
pub struct LoaderResult {
    /// What it measured; the start on its own clock is in `start_clock_ns`.
    pub outcome: Outcome,
    /// The start of its load on its own clock, ns.
    pub start_clock_ns: u64,
    /// The commands that the services accepted.
    pub accepted: Vec<Commanded>,
}

impl ResultAssembler {
    /// An empty result; requests are buffered in an unnamed file in this directory.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            requests: ReceivedLog::new(folder),
            accepted: Vec::new(),
            chunks: Chunks::default(),
            fired: None,
        }
    }

    /// Adds a chunk; a repeated one is ignored.
    ///
    /// # Errors
    /// A chunk that cannot be decoded, or that follows a missing one.
    pub fn add_chunk(&mut self, chunk: &Chunk) -> Result<(), String> {
        let next = match chunk.of {
            Stream::Requests => &mut self.chunks.requests,
            Stream::Accepted => &mut self.chunks.accepted,
        };
        if chunk.number < *next {
            return Ok(());
        }
        if chunk.number > *next {
            return Err(format!("chunk {next} is missing, received chunk {}", chunk.number));
        }
        *next += 1;
        let unreadable = |why: String| format!("chunk {} cannot be decoded: {why}", chunk.number);
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

    /// Adds the totals.
    pub fn set_totals(&mut self, fired: Box<Fired>) {
        self.fired.get_or_insert(fired);
    }

    /// Whether all messages were received.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.fired.as_ref().is_some_and(|fired| {
            self.chunks.requests >= fired.request_chunks && self.chunks.accepted >= fired.accepted_chunks
        })
    }

    /// The complete result.
    ///
    /// # Errors
    /// The inconsistency, in words.
    pub fn finish(self) -> Result<LoaderResult, String> {
        let fired = self.fired.ok_or("FIRED never arrived")?;
        let (received, sent) = (self.requests.requests(), fired.requests);
        let counted = fired.window.due.saturating_add(fired.warm_up.due);
        if received != sent || received != counted {
            return Err(format!(
                "received {received} requests; {sent} were sent and {counted} counted"
            ));
        }
        Ok(LoaderResult {
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

    fn assembler() -> ResultAssembler {
        ResultAssembler::new(&std::env::temp_dir())
    }

    #[test]
    fn repeated_and_reordered_messages_are_handled() {
        let mut result = assembler();
        result.add_chunk(&chunk(0, 2)).unwrap();
        result.set_totals(sum(5, 5, 2));
        result.add_chunk(&chunk(0, 2)).unwrap();
        assert!(!result.is_complete());
        result.add_chunk(&chunk(1, 3)).unwrap();
        assert!(result.is_complete());
        let requests: Vec<Request> = {
            let outcome = result.finish().unwrap().outcome;
            outcome.requests.read().unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(requests.len(), 5);
    }

    #[test]
    fn missing_and_malformed_messages_are_errors() {
        let mut gap = assembler();
        assert!(gap.add_chunk(&chunk(1, 1)).unwrap_err().contains("chunk 0 is missing"));
        let mut malformed = assembler();
        let garbage = Chunk {
            data: "!".into(),
            ..chunk(0, 1)
        };
        assert!(malformed.add_chunk(&garbage).unwrap_err().contains("cannot be decoded"));
        for (due, requests) in [(3, 2), (2, 3)] {
            let mut short = assembler();
            short.add_chunk(&chunk(0, 2)).unwrap();
            short.set_totals(sum(due, requests, 1));
            assert!(short.finish().unwrap_err().contains("received 2 requests"));
        }
        assert!(assembler().finish().unwrap_err().contains("FIRED"));
    }
}
