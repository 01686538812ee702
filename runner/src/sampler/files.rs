//! How many files stay open, and those that do.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kept::{Kept, Read};
use super::source::Reader;

/// Places for files that stay open; a place is given back when its file is closed.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// The place of one open file.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Budget {
    /// So many places.
    #[must_use]
    pub fn of(places: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(places)))
    }

    /// Three quarters of what this process may open: the rest is for its connections, logs, and what it starts.
    #[must_use]
    pub fn of_this_process() -> Self {
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        let soft = limit.map_or(1024, |(soft, _)| soft);
        Self::of(usize::try_from(soft / 4 * 3).unwrap_or(usize::MAX))
    }

    fn take(&self) -> Option<Place> {
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.ok().map(|_| Place(Arc::clone(&self.0)))
    }
}

/// A file that stays open where there is a place for it, and is opened for every reading where there is none: dearer, but as right.
#[derive(Debug, Default)]
pub struct Slot(Option<(Kept, Place)>);

impl Slot {
    /// Whether it is open.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Reads the file into the reader's buffer. `path` is asked for only where it is not open.
    ///
    /// # Errors
    /// What is not "gone", such as a permission.
    pub fn read(&mut self, path: impl FnOnce() -> PathBuf, reader: &mut Reader) -> io::Result<Read> {
        let read = self.with(
            || Kept::open(&path()),
            reader,
            |file, reader| file.read(&mut reader.buffer),
        );
        Ok(read?.unwrap_or(Read::Gone))
    }

    /// Looks at the open file; `None`: there is none to open.
    ///
    /// # Errors
    /// What opening or looking says, if it is not "gone".
    pub fn with<T>(
        &mut self,
        open: impl FnOnce() -> io::Result<Option<Kept>>,
        reader: &mut Reader,
        look: impl FnOnce(&Kept, &mut Reader) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if let Some((file, _)) = &self.0 {
            return look(file, reader).map(Some);
        }
        let Some(file) = open()? else {
            return Ok(None);
        };
        let seen = look(&file, reader)?;
        self.0 = match reader.files.take() {
            Some(place) => Some((file, place)),
            None => {
                reader.notes.once("files", || {
                    "more files are read than may stay open: the others are opened for every reading, which costs more; raise the runner's \
                     hard limit of open files (`ulimit -Hn`, systemd's LimitNOFILE)"
                        .to_owned()
                });
                None
            }
        };
        Ok(Some(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_place_is_read_all_the_same_and_places_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "1\n").unwrap();
        std::fs::write(path("b"), "2\n").unwrap();
        let mut reader = Reader::new(4096);
        reader.files = Budget::of(1);
        let (mut a, mut b) = (Slot::default(), Slot::default());
        for _ in 0..2 {
            assert!(matches!(a.read(|| path("a"), &mut reader).unwrap(), Read::Bytes(2)));
            assert!(matches!(b.read(|| path("b"), &mut reader).unwrap(), Read::Bytes(2)));
            assert_eq!(reader.buffer[..2], *b"2\n");
        }
        assert!(a.is_kept() && !b.is_kept());
        drop(a);
        assert!(matches!(b.read(|| path("b"), &mut reader).unwrap(), Read::Bytes(2)));
        assert!(b.is_kept());
        let gone = Slot::default().read(|| path("c"), &mut reader).unwrap();
        assert!(matches!(gone, Read::Gone));
        let notes = reader.notes.into_lines();
        assert!(notes.len() == 1 && notes[0].contains("ulimit -Hn"), "{notes:?}");
    }
}
