//! Requests that another machine sent, as they come in: pieces of its log, kept in a file so that memory stays what it is.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::log::RequestLog;
use super::request::BYTES;

/// A log of requests that comes in pieces.
#[derive(Debug)]
pub struct ReceivedLog {
    folder: PathBuf,
    file: Option<File>,
    requests: u64,
}

impl ReceivedLog {
    /// An empty one; its file has no name and vanishes with it.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: None,
            requests: 0,
        }
    }

    /// Takes the next piece, as [`RequestLog::pieces`] made it.
    ///
    /// # Errors
    /// The disk's, and [`io::ErrorKind::InvalidData`] for a piece that ends within a request.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        if !piece.len().is_multiple_of(BYTES) {
            let why = format!("{} bytes are no whole number of requests", piece.len());
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

    /// How many requests came so far.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> RequestLog {
        RequestLog::of_file(self.file)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::requests;

    proptest! {
        #[test]
        fn what_goes_out_in_pieces_comes_in_whole(all in proptest::collection::vec(requests(), 0..40), most in 1_usize..50) {
            let log = RequestLog::of(all.clone());
            let mut received = ReceivedLog::new(&std::env::temp_dir());
            for piece in log.pieces(most).unwrap() {
                received.push(&piece.unwrap()).unwrap();
            }
            prop_assert_eq!(received.requests(), all.len() as u64);
            let back: Vec<_> = received.finish().read().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(back, all);
        }
    }

    #[test]
    fn half_a_request_is_refused() {
        let mut received = ReceivedLog::new(&std::env::temp_dir());
        assert_eq!(
            received.push(&[0; BYTES + 1]).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(received.requests(), 0);
    }
}
