//! The log of all requests. It stays in memory in blocks; full blocks are spilled to an unnamed file.
//!
//! ```text
//!  engine thread                          spill thread
//!  push, push, .. block full  -- full --> written to the thread's file
//!  next block                 <- empty --
//! ```
//! The engine never waits for the disk: if no empty block is available, it allocates a new one. Memory is therefore constant as long as the disk keeps up
//! with 64 bytes per request.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::error::LoadError;
use super::request::{BYTES, Request};

/// Requests per block: 1 MiB.
const BLOCK: usize = (1 << 20) / BYTES;

/// Writes the log of one thread during the load.
#[derive(Debug)]
pub struct LogWriter {
    thread: usize,
    block: Vec<u8>,
    full: Sender<(usize, Vec<u8>)>,
    empty: Receiver<Vec<u8>>,
}

impl LogWriter {
    /// Appends a completed request.
    pub fn push(&mut self, request: &Request) {
        self.block.extend_from_slice(&request.to_bytes());
        if self.block.len() == BLOCK * BYTES {
            self.next_block();
        }
    }

    #[cold]
    fn next_block(&mut self) {
        let next = self
            .empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(BLOCK * BYTES));
        // Fails only if the spill thread has failed, which `finish` reports.
        let _ = self.full.send((self.thread, std::mem::replace(&mut self.block, next)));
    }
}

/// The thread that writes full blocks to disk.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    writer: JoinHandle<io::Result<Vec<Option<File>>>>,
}

impl Spill {
    /// Starts it for a number of engine threads. Its files are unnamed and are deleted with the log.
    ///
    /// # Errors
    /// [`LoadError::System`] if no thread can be started.
    pub fn start(folder: &Path, threads: usize) -> Result<(Self, Vec<LogWriter>), LoadError> {
        let (full, blocks) = channel();
        let (writers, empties): (Vec<_>, Vec<_>) = (0..threads)
            .map(|thread| {
                let (empty_tx, empty) = channel();
                let writer = LogWriter {
                    thread,
                    block: Vec::with_capacity(BLOCK * BYTES),
                    full: full.clone(),
                    empty,
                };
                (writer, empty_tx)
            })
            .unzip();
        let folder = folder.to_owned();
        let directory = folder.clone();
        let writer = std::thread::Builder::new()
            .name("load-log".to_owned())
            .spawn(move || write_blocks(&directory, &blocks, &empties))
            .map_err(|source| LoadError::System {
                what: "start a thread",
                source,
            })?;
        Ok((Self { folder, writer }, writers))
    }

    /// Waits until all blocks are written, and collects the partial blocks of the writers.
    ///
    /// # Errors
    /// [`LoadError::Log`] if writing failed.
    pub fn finish(self, writers: Vec<LogWriter>) -> Result<RequestLog, LoadError> {
        let tails: Vec<_> = writers
            .into_iter()
            .map(|writer| (writer.thread, writer.block))
            .collect();
        let files = self.writer.join().map_err(|_| LoadError::Panicked)?;
        let mut files = files.map_err(|source| LoadError::Log {
            folder: self.folder,
            source,
        })?;
        let threads = tails
            .into_iter()
            .map(|(thread, tail)| ThreadLog::new(files.get_mut(thread).and_then(Option::take), tail));
        Ok(RequestLog {
            threads: threads.collect(),
        })
    }
}

/// Writes each block to the file of its thread until the last engine thread has ended.
fn write_blocks(
    folder: &Path,
    blocks: &Receiver<(usize, Vec<u8>)>,
    empties: &[Sender<Vec<u8>>],
) -> io::Result<Vec<Option<File>>> {
    let mut files: Vec<Option<File>> = empties.iter().map(|_| None).collect();
    for (thread, mut block) in blocks {
        let Some(slot) = files.get_mut(thread) else { continue };
        let file = match slot {
            Some(file) => file,
            None => slot.insert(tempfile::tempfile_in(folder)?),
        };
        file.write_all(&block)?;
        block.clear();
        // Fails if the engine thread has ended.
        let _ = empties[thread].send(block);
    }
    Ok(files)
}

/// The log of a run.
#[derive(Debug, Default)]
pub struct RequestLog {
    threads: Vec<ThreadLog>,
}

#[derive(Debug)]
struct ThreadLog {
    file: Option<File>,
    tail: Vec<u8>,
    /// Offset of its times.
    shift_ns: u64,
    /// Whether all of it is warm-up.
    warm_up: bool,
    /// Offset of its thread numbers.
    first_thread: u8,
}

impl ThreadLog {
    fn new(file: Option<File>, tail: Vec<u8>) -> Self {
        Self {
            file,
            tail,
            shift_ns: 0,
            warm_up: false,
            first_thread: 0,
        }
    }
}

impl RequestLog {
    /// A log of requests in completion order that were not sent by an engine of this process.
    #[must_use]
    pub fn of(requests: impl IntoIterator<Item = Request>) -> Self {
        let tail = requests.into_iter().flat_map(Request::to_bytes).collect();
        Self {
            threads: vec![ThreadLog::new(None, tail)],
        }
    }

    /// Adds the log of another machine, whose threads are numbered from `first_thread`.
    pub(super) fn add_machine(&mut self, other: Self, first_thread: u8) {
        self.threads.extend(other.threads.into_iter().map(|log| ThreadLog {
            first_thread: log.first_thread.saturating_add(first_thread),
            ..log
        }));
    }

    /// All requests in completion order, encoded in pieces of at most `max` requests, for transfer.
    ///
    /// # Errors
    /// I/O errors of the file.
    pub fn pieces(&self, max: usize) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + '_> {
        let mut requests = self.read()?.peekable();
        Ok(std::iter::from_fn(move || {
            requests.peek()?;
            let piece = requests
                .by_ref()
                .take(max)
                .map(|request| request.map(Request::to_bytes));
            Some(piece.collect::<io::Result<Vec<_>>>().map(|piece| piece.concat()))
        }))
    }

    /// Appends a log whose origin is `shift_ns` later, optionally as warm-up.
    pub(super) fn append(&mut self, other: Self, shift_ns: u64, warm_up: bool) {
        self.threads.extend(other.threads.into_iter().map(|log| ThreadLog {
            shift_ns: log.shift_ns + shift_ns,
            warm_up: log.warm_up || warm_up,
            ..log
        }));
    }

    /// All requests, in completion order.
    ///
    /// # Errors
    /// I/O errors of the file.
    pub fn read(&self) -> io::Result<Requests<'_>> {
        let heads = self.threads.iter().map(Head::new).collect::<io::Result<Vec<_>>>()?;
        Ok(Requests { heads })
    }
}

/// Iterates over all requests of a log in completion order.
#[derive(Debug)]
pub struct Requests<'a> {
    heads: Vec<Head<'a>>,
}

/// The read position in a thread's log.
#[derive(Debug)]
struct Head<'a> {
    file: Option<io::Take<BufReader<File>>>,
    tail: std::slice::ChunksExact<'a, u8>,
    shift_ns: u64,
    warm_up: bool,
    first_thread: u8,
    next: Option<Request>,
}

impl<'a> Head<'a> {
    fn new(log: &'a ThreadLog) -> io::Result<Self> {
        let file = match &log.file {
            Some(file) => {
                let mut file = file.try_clone()?;
                let length = file.seek(SeekFrom::End(0))?;
                file.rewind()?;
                Some(BufReader::with_capacity(1 << 18, file).take(length))
            }
            None => None,
        };
        let mut head = Self {
            file,
            tail: log.tail.chunks_exact(BYTES),
            shift_ns: log.shift_ns,
            warm_up: log.warm_up,
            first_thread: log.first_thread,
            next: None,
        };
        head.advance()?;
        Ok(head)
    }

    /// Reads the next request; returns the previous one.
    fn advance(&mut self) -> io::Result<Option<Request>> {
        let mut bytes = [0; BYTES];
        let found = match self.file.as_mut().filter(|file| file.limit() > 0) {
            Some(file) => file.read_exact(&mut bytes).map(|()| true)?,
            None => self.tail.next().is_some_and(|chunk| {
                bytes.copy_from_slice(chunk);
                true
            }),
        };
        let next = found.then(|| {
            let request = Request::from_bytes(&bytes).shifted(self.shift_ns, self.warm_up);
            request.of_thread(request.thread.saturating_add(self.first_thread))
        });
        Ok(std::mem::replace(&mut self.next, next))
    }
}

impl Iterator for Requests<'_> {
    type Item = io::Result<Request>;

    fn next(&mut self) -> Option<Self::Item> {
        let ended = |head: &Head<'_>| head.next.map(|request| request.done_ns);
        let first = self
            .heads
            .iter_mut()
            .filter(|head| head.next.is_some())
            .min_by_key(|head| ended(head))?;
        first.advance().transpose()
    }
}

/// A log received in pieces from another machine. It is stored in a file, so that memory is constant.
#[derive(Debug)]
pub struct ReceivedLog {
    folder: PathBuf,
    file: Option<File>,
    requests: u64,
}

impl ReceivedLog {
    /// An empty log; its file is unnamed and is deleted with it.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: None,
            requests: 0,
        }
    }

    /// Appends the next piece, as produced by [`RequestLog::pieces`].
    ///
    /// # Errors
    /// I/O errors, and [`io::ErrorKind::InvalidData`] for a piece that ends within a request.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        if !piece.len().is_multiple_of(BYTES) {
            let why = format!("{} bytes are not a whole number of requests", piece.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.write_all(piece)?;
        self.requests += (piece.len() / BYTES) as u64;
        Ok(())
    }

    /// Number of requests received so far.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// The complete log.
    #[must_use]
    pub fn finish(self) -> RequestLog {
        RequestLog {
            threads: vec![ThreadLog::new(self.file, Vec::new())],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::requests;

    proptest! {
        #[test]
        fn the_log_round_trips(all in proptest::collection::vec(requests(), 0..50)) {
            let log = RequestLog::of(all.clone());
            prop_assert_eq!(log.read().unwrap().collect::<io::Result<Vec<_>>>().unwrap(), all);
        }
    }

    #[test]
    fn spilled_blocks_are_read_in_completion_order() {
        let folder = tempfile::tempdir().unwrap();
        let (spill, mut writers) = Spill::start(folder.path(), 2).unwrap();
        let count = BLOCK as u64 * 3 + 5;
        let request = |done_ns, thread| Request::from_bytes(&[0; BYTES]).ended(done_ns, thread);
        for n in 0..count {
            writers[0].push(&request(2 * n, 0));
        }
        for n in 0..10 {
            writers[1].push(&request(2 * n + 1, 1));
        }
        let log = spill.finish(writers).unwrap();
        let all: Vec<_> = log.read().unwrap().map(|r| r.unwrap().done_ns).collect();
        assert_eq!(all.len() as u64, count + 10);
        assert!(all.is_sorted());
        assert_eq!(log.read().unwrap().count() as u64, count + 10, "it can be read twice");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "files without a name"
        );
    }

    #[test]
    fn a_write_error_includes_the_folder() {
        let (spill, mut writers) = Spill::start(Path::new("/nonexistent"), 1).unwrap();
        for n in 0..BLOCK as u64 + 1 {
            writers[0].push(&Request::from_bytes(&[0; BYTES]).ended(n, 0));
        }
        let error = spill.finish(writers).unwrap_err().to_string();
        assert!(error.contains("/nonexistent"), "{error}");
    }

    impl Request {
        fn ended(mut self, done_ns: u64, thread: u8) -> Self {
            (self.done_ns, self.thread) = (done_ns, thread);
            self
        }
    }

    proptest! {
        #[test]
        fn pieces_are_received_completely(all in proptest::collection::vec(requests(), 0..40), max in 1_usize..50) {
            let log = RequestLog::of(all.clone());
            let mut received = ReceivedLog::new(&std::env::temp_dir());
            for piece in log.pieces(max).unwrap() {
                received.push(&piece.unwrap()).unwrap();
            }
            prop_assert_eq!(received.requests(), all.len() as u64);
            let back: Vec<_> = received.finish().read().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(back, all);
        }
    }

    #[test]
    fn a_partial_request_is_refused() {
        let mut received = ReceivedLog::new(&std::env::temp_dir());
        assert_eq!(
            received.push(&[0; BYTES + 1]).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(received.requests(), 0);
    }
}
