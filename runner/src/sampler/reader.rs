//! Reading files into counters: the buffer, the budget of open files, and groups of files that are read together.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::sample::Counters;

use super::notes::Notes;
use super::open_file::{OpenFile, Read};
use super::parse::Parser;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What is cheap and changes fast: CPU time and resident memory.
    Quick,
    /// All counters but those below.
    Full,
    /// Also the counters that need a walk through page tables.
    Checkpoint,
}

/// What every read works with.
#[derive(Debug)]
pub struct Reader {
    /// Grows to the longest file.
    pub buffer: Vec<u8>,
    /// Page size, bytes.
    pub page_bytes: u64,
    /// What could not be read.
    pub notes: Notes,
    /// How many files may stay open.
    pub files: FileBudget,
}

impl Reader {
    /// A reader for a host with this page size.
    #[must_use]
    pub fn new(page_bytes: u64) -> Self {
        Self {
            buffer: vec![0; 8192],
            page_bytes,
            notes: Notes::default(),
            files: FileBudget::of_this_process(),
        }
    }

    /// Opens a file that may be missing; any other error is noted.
    pub fn open(&mut self, name: &str, path: &Path, of: &dyn Display) -> Option<OpenFile> {
        OpenFile::open(path)
            .inspect_err(|error| self.notes.unreadable(name, of, error))
            .ok()
            .flatten()
    }

    /// Reads an open file into counters; `false`: it is gone, or cannot be read, which is noted.
    pub fn read(
        &mut self,
        name: &str,
        file: &OpenFile,
        parse: Parser,
        of: &dyn Display,
        counters: &mut Counters,
    ) -> bool {
        let read = file.read(&mut self.buffer);
        self.parse(read, name, parse, of, counters)
    }

    /// Reads a cached file into counters; `false`: it is gone, or cannot be read, which is noted.
    pub fn read_cached(
        &mut self,
        file: &mut CachedFile,
        path: impl FnOnce() -> PathBuf,
        parse: Parser,
        (name, of): (&str, &dyn Display),
        counters: &mut Counters,
    ) -> bool {
        let read = file.read(path, self);
        self.parse(read, name, parse, of, counters)
    }

    /// Opens a file, reads it into counters and closes it; `false`: it is gone, or cannot be read, which is noted.
    pub fn read_once(
        &mut self,
        name: &str,
        path: &Path,
        parse: Parser,
        of: &dyn Display,
        counters: &mut Counters,
    ) -> bool {
        match self.open(name, path, of) {
            Some(file) => self.read(name, &file, parse, of, counters),
            None => false,
        }
    }

    fn parse(
        &mut self,
        read: io::Result<Read>,
        name: &str,
        parse: Parser,
        of: &dyn Display,
        counters: &mut Counters,
    ) -> bool {
        match read {
            Ok(Read::Bytes(bytes)) => match parse(&self.buffer[..bytes], counters) {
                Ok(()) => return true,
                Err(error) => self.notes.unreadable(name, of, &io::Error::other(error)),
            },
            Ok(Read::Gone) => {}
            Err(error) => self.notes.unreadable(name, of, &error),
        }
        false
    }
}

/// How many files may stay open. Closing a file returns its slot.
#[derive(Clone, Debug)]
pub struct FileBudget(Arc<AtomicUsize>);

/// The slot of one open file.
#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl FileBudget {
    /// A budget of this many files.
    #[must_use]
    pub fn of(files: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(files)))
    }

    /// Three quarters of this process's limit; the rest is for its connections and logs and for what it starts.
    #[must_use]
    pub fn of_this_process() -> Self {
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        let soft = limit.map_or(1024, |(soft, _)| soft);
        Self::of(usize::try_from(soft / 4 * 3).unwrap_or(usize::MAX))
    }

    fn take(&self) -> Option<Slot> {
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.ok().map(|_| Slot(Arc::clone(&self.0)))
    }
}

/// A file that stays open while the budget lasts, and is otherwise opened for every read, which costs more but gives the same figures.
#[derive(Debug, Default)]
pub struct CachedFile(Option<(OpenFile, Slot)>);

impl CachedFile {
    /// Whether it is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Reads the file into the reader's buffer. `path` is called only if it is not open.
    ///
    /// # Errors
    /// Any error that does not mean "gone", such as a missing permission.
    pub fn read(&mut self, path: impl FnOnce() -> PathBuf, reader: &mut Reader) -> io::Result<Read> {
        let read = self.with(
            || OpenFile::open(&path()),
            reader,
            |file, reader| file.read(&mut reader.buffer),
        );
        Ok(read?.unwrap_or(Read::Gone))
    }

    /// Applies `look` to the open file; `None`: there is none to open.
    ///
    /// # Errors
    /// Any error of opening or looking that does not mean "gone".
    pub fn with<T>(
        &mut self,
        open: impl FnOnce() -> io::Result<Option<OpenFile>>,
        reader: &mut Reader,
        look: impl FnOnce(&OpenFile, &mut Reader) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if let Some((file, _)) = &self.0 {
            return look(file, reader).map(Some);
        }
        let Some(file) = open()? else {
            return Ok(None);
        };
        let seen = look(&file, reader)?;
        self.0 = match reader.files.take() {
            Some(slot) => Some((file, slot)),
            None => {
                reader.notes.once("files", || {
                    "more files are sampled than may stay open: the others are reopened for every sample, which costs more CPU; raise the \
                     runner's hard limit of open files (`ulimit -Hn`, systemd's LimitNOFILE)"
                        .to_owned()
                });
                None
            }
        };
        Ok(Some(seen))
    }
}

/// One file of a group.
#[derive(Debug)]
pub struct Source {
    /// Its name, for notes.
    pub name: &'static str,
    /// Its path.
    pub path: PathBuf,
    /// Whether it is read at every tick.
    pub quick: bool,
    /// Its parser.
    pub parse: Parser,
}

/// A group of open files: those of a cgroup, or of the host.
#[derive(Debug)]
pub struct Sources {
    of: String,
    files: Vec<(Source, OpenFile)>,
}

impl Sources {
    /// Opens the files that exist.
    pub fn open(of: String, sources: impl Iterator<Item = Source>, reader: &mut Reader) -> Self {
        let files = sources.filter_map(|source| {
            let file = reader.open(source.name, &source.path, &of)?;
            Some((source, file))
        });
        let files = files.collect();
        Self { of, files }
    }

    /// Whether no file exists.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Reads them. The figures of a file that is gone or can no longer be read are absent.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beyond_the_budget_is_still_read_and_slots_are_returned() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "1\n").unwrap();
        std::fs::write(path("b"), "2\n").unwrap();
        let mut reader = Reader::new(4096);
        reader.files = FileBudget::of(1);
        let (mut a, mut b) = (CachedFile::default(), CachedFile::default());
        for _ in 0..2 {
            assert!(matches!(a.read(|| path("a"), &mut reader).unwrap(), Read::Bytes(2)));
            assert!(matches!(b.read(|| path("b"), &mut reader).unwrap(), Read::Bytes(2)));
            assert_eq!(reader.buffer[..2], *b"2\n");
        }
        assert!(a.is_open() && !b.is_open());
        drop(a);
        assert!(matches!(b.read(|| path("b"), &mut reader).unwrap(), Read::Bytes(2)));
        assert!(b.is_open());
        let gone = CachedFile::default().read(|| path("c"), &mut reader).unwrap();
        assert!(matches!(gone, Read::Gone));
        let notes = reader.notes.into_lines();
        assert!(notes.len() == 1 && notes[0].contains("ulimit -Hn"), "{notes:?}");
    }
}
