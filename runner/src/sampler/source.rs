//! Files that stay open and are read into counters together: those of a cgroup, of the host.

use std::fmt::Display;
use std::path::PathBuf;

use protocol::sample::Counters;

use super::files::{Budget, Slot};
use super::kept::{Kept, Read};
use super::notes::Notes;
use super::parse::Parser;

/// How much of what can be read is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What is cheap and moves fast: CPU time and resident memory.
    Quick,
    /// All counters.
    Full,
    /// Those that walk page tables, too.
    Checkpoint,
}

/// What every reading works with.
#[derive(Debug)]
pub struct Reader {
    /// Grows to the longest file.
    pub buffer: Vec<u8>,
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// What could not be read.
    pub notes: Notes,
    /// Places for files that stay open.
    pub files: Budget,
}

impl Reader {
    /// A reader for a host with such pages.
    #[must_use]
    pub fn new(page_bytes: u64) -> Self {
        Self {
            buffer: vec![0; 8192],
            page_bytes,
            notes: Notes::default(),
            files: Budget::of_this_process(),
        }
    }

    /// Opens a file that may be missing; what keeps it from being opened is noted.
    pub fn open(&mut self, name: &str, path: &std::path::Path, of: &dyn Display) -> Option<Kept> {
        Kept::open(path)
            .inspect_err(|error| self.notes.unreadable(name, of, error))
            .ok()
            .flatten()
    }

    /// Reads an open file into counters; `false`: it is gone, or cannot be read, which is noted.
    pub fn read(&mut self, name: &str, file: &Kept, parse: Parser, of: &dyn Display, counters: &mut Counters) -> bool {
        let read = file.read(&mut self.buffer);
        self.take(read, name, parse, of, counters)
    }

    /// Reads a file that stays open if it can into counters; `false`: it is gone, or cannot be read, which is noted.
    pub fn slot(
        &mut self,
        slot: &mut Slot,
        path: impl FnOnce() -> PathBuf,
        parse: Parser,
        named: (&str, &dyn Display),
        counters: &mut Counters,
    ) -> bool {
        let read = slot.read(path, self);
        self.take(read, named.0, parse, named.1, counters)
    }

    /// Takes what came of reading into counters.
    fn take(
        &mut self,
        read: std::io::Result<Read>,
        name: &str,
        parse: Parser,
        of: &dyn Display,
        counters: &mut Counters,
    ) -> bool {
        match read {
            Ok(Read::Bytes(bytes)) => match parse(&self.buffer[..bytes], counters) {
                Ok(()) => return true,
                Err(error) => self.notes.unreadable(name, of, &std::io::Error::other(error)),
            },
            Ok(Read::Gone) => {}
            Err(error) => self.notes.unreadable(name, of, &error),
        }
        false
    }

    /// Opens a file, reads it into counters and closes it.
    pub fn once(
        &mut self,
        name: &str,
        path: &std::path::Path,
        parse: Parser,
        of: &dyn Display,
        counters: &mut Counters,
    ) -> bool {
        match self.open(name, path, of) {
            Some(file) => self.read(name, &file, parse, of, counters),
            None => false,
        }
    }
}

/// One file among several.
#[derive(Debug)]
pub struct Source {
    /// Its name, for notes.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is read at every tick.
    pub quick: bool,
    /// How it is read.
    pub parse: Parser,
}

/// Several files, open.
#[derive(Debug)]
pub struct Sources {
    of: String,
    files: Vec<(Source, Kept)>,
}

impl Sources {
    /// Opens those that are there.
    pub fn open(of: String, sources: impl Iterator<Item = Source>, reader: &mut Reader) -> Self {
        let files = sources.filter_map(|source| {
            let file = reader.open(source.name, &source.path, &of)?;
            Some((source, file))
        });
        let files = files.collect();
        Self { of, files }
    }

    /// Whether none is there.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Reads them; one that is gone or cannot be read any more leaves its figures out.
    pub fn read(&self, depth: Depth, reader: &mut Reader) -> Counters {
        let mut counters = Counters::with_capacity(if depth == Depth::Quick { 6 } else { 32 });
        for (source, file) in self
            .files
            .iter()
            .filter(|(source, _)| source.quick || depth > Depth::Quick)
        {
            reader.read(source.name, file, source.parse, &self.of, &mut counters);
        }
        counters
    }
}
