//! The log of all requests: blocks of memory while the load runs, a file for what does not fit into one.
//!
//! ```text
//!  engine thread                          spill thread
//!  push, push, .. block full  -- full --> written to the thread's file
//!  next block                 <- empty --
//! ```
//! The engine never waits for a disk: where no empty block came back yet, it takes a new one. So memory stays the same however
//! many requests there are, as long as the disk takes 64 bytes a request.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::error::LoadError;
use super::request::{BYTES, Request};

/// Requests in a block: 1 MiB.
const BLOCK: usize = (1 << 20) / BYTES;

/// The log of one thread while the load runs.
#[derive(Debug)]
pub struct LogWriter {
    thread: usize,
    block: Vec<u8>,
    full: Sender<(usize, Vec<u8>)>,
    empty: Receiver<Vec<u8>>,
}

impl LogWriter {
    /// Notes a request that ended.
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
        // The other end lives until the load is over; were it gone, joining it would tell.
        drop(self.full.send((self.thread, std::mem::replace(&mut self.block, next))));
    }
}

/// The thread that takes full blocks to disk.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    writer: JoinHandle<io::Result<Vec<Option<File>>>>,
}

impl Spill {
    /// Starts it, for so many engine threads; its files have no name and vanish with the log.
    ///
    /// # Errors
    /// [`LoadError::System`] if there is no thread to be had.
    pub fn start(folder: &Path, threads: usize) -> Result<(Self, Vec<LogWriter>), LoadError> {
        let (full, blocks) = channel();
        let (writers, empties): (Vec<_>, Vec<_>) = (0..threads)
            .map(|thread| {
                let (give, empty) = channel();
                let writer = LogWriter {
                    thread,
                    block: Vec::with_capacity(BLOCK * BYTES),
                    full: full.clone(),
                    empty,
                };
                (writer, give)
            })
            .unzip();
        let folder = folder.to_owned();
        let place = folder.clone();
        let writer = std::thread::Builder::new()
            .name("load-log".to_owned())
            .spawn(move || write_blocks(&place, &blocks, &empties))
            .map_err(|source| LoadError::System {
                what: "start a thread",
                source,
            })?;
        Ok((Self { folder, writer }, writers))
    }

    /// Waits until all is written; the writers, which are used up by it, hold what is not.
    ///
    /// # Errors
    /// [`LoadError::Log`] if the disk did not take it.
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
        let threads = tails.into_iter().map(|(thread, tail)| ThreadLog {
            file: files.get_mut(thread).and_then(Option::take),
            tail,
            shift_ns: 0,
            warm_up: false,
            first_thread: 0,
        });
        Ok(RequestLog {
            threads: threads.collect(),
        })
    }
}

/// Writes blocks, each to the file of its thread, until the last engine thread is gone.
fn write_blocks(
    folder: &Path,
    blocks: &Receiver<(usize, Vec<u8>)>,
    empties: &[Sender<Vec<u8>>],
) -> io::Result<Vec<Option<File>>> {
    let mut files: Vec<Option<File>> = empties.iter().map(|_| None).collect();
    for (thread, mut block) in blocks {
        let Some(place) = files.get_mut(thread) else { continue };
        let file = match place {
            Some(file) => file,
            None => place.insert(tempfile::tempfile_in(folder)?),
        };
        file.write_all(&block)?;
        block.clear();
        // An engine thread that is over wants none.
        drop(empties[thread].send(block));
    }
    Ok(files)
}

/// The requests of a run.
#[derive(Debug, Default)]
pub struct RequestLog {
    threads: Vec<ThreadLog>,
}

#[derive(Debug)]
struct ThreadLog {
    file: Option<File>,
    tail: Vec<u8>,
    /// What is added to every time of it.
    shift_ns: u64,
    /// Whether all of it is warm-up.
    warm_up: bool,
    /// What is added to every thread of it.
    first_thread: u8,
}

impl RequestLog {
    /// A log of requests that were not sent by an engine of this process, in order of their end.
    #[must_use]
    pub fn of(requests: impl IntoIterator<Item = Request>) -> Self {
        let tail = requests.into_iter().flat_map(Request::to_bytes).collect();
        Self {
            threads: vec![ThreadLog {
                file: None,
                tail,
                shift_ns: 0,
                warm_up: false,
                first_thread: 0,
            }],
        }
    }

    /// A log that was received as [`RequestLog::pieces`] made it; `None` is of no request.
    pub(super) fn of_file(file: Option<File>) -> Self {
        let log = ThreadLog {
            file,
            tail: Vec::new(),
            shift_ns: 0,
            warm_up: false,
            first_thread: 0,
        };
        Self { threads: vec![log] }
    }

    /// Adds the log of another machine, whose threads count on from this one.
    pub(super) fn beside(&mut self, other: Self, first_thread: u8) {
        self.threads.extend(other.threads.into_iter().map(|log| ThreadLog {
            first_thread: log.first_thread.saturating_add(first_thread),
            ..log
        }));
    }

    /// All requests in the order of their end as bytes, so many in a piece at most: how they go over the wire.
    ///
    /// # Errors
    /// Those of the file that holds them.
    pub fn pieces(&self, most: usize) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + '_> {
        let mut requests = self.read()?.peekable();
        Ok(std::iter::from_fn(move || {
            requests.peek()?;
            let piece = requests
                .by_ref()
                .take(most)
                .map(|request| request.map(Request::to_bytes));
            Some(piece.collect::<io::Result<Vec<_>>>().map(|piece| piece.concat()))
        }))
    }

    /// Adds a log whose times count from so much later, all of it as warm-up if told.
    pub(super) fn append(&mut self, other: Self, shift_ns: u64, warm_up: bool) {
        self.threads.extend(other.threads.into_iter().map(|log| ThreadLog {
            shift_ns: log.shift_ns + shift_ns,
            warm_up: log.warm_up || warm_up,
            ..log
        }));
    }

    /// All requests, in the order of their end.
    ///
    /// # Errors
    /// Those of the file that holds them.
    pub fn read(&self) -> io::Result<Requests<'_>> {
        let heads = self.threads.iter().map(Head::new).collect::<io::Result<Vec<_>>>()?;
        Ok(Requests { heads })
    }
}

/// All requests of a log, in the order of their end.
#[derive(Debug)]
pub struct Requests<'a> {
    heads: Vec<Head<'a>>,
}

/// Where the reading of a thread's log stands.
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

    /// Reads the next request; returns the last one.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::requests;

    proptest! {
        #[test]
        fn what_is_logged_is_read_back(all in proptest::collection::vec(requests(), 0..50)) {
            let log = RequestLog::of(all.clone());
            prop_assert_eq!(log.read().unwrap().collect::<io::Result<Vec<_>>>().unwrap(), all);
        }
    }

    #[test]
    fn blocks_that_went_to_disk_come_back_in_the_order_of_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let (spill, mut writers) = Spill::start(folder.path(), 2).unwrap();
        let count = BLOCK as u64 * 3 + 5;
        let template = RequestLog::of([]).read().unwrap().next();
        assert!(template.is_none());
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
    fn a_disk_that_takes_nothing_is_an_error_with_the_folder() {
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
}
