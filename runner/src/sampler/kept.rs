//! A file of `/proc` that stays open and is read in place: no path walk a sample, and a file that was opened for a process
//! never tells of another one that got its PID.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An open file.
#[derive(Debug)]
pub struct Kept(File);

/// What came of reading.
#[derive(Debug)]
pub enum Read {
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// The process or thread is gone.
    Gone,
}

impl Kept {
    /// Opens a file; `None`: the process or thread is gone.
    ///
    /// # Errors
    /// What is not "gone", such as too many open files.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the file from its beginning.
    ///
    /// # Errors
    /// What is not "gone".
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut filled = 0;
        loop {
            match self.0.read_at(&mut buffer[filled..], filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_gone(&error) => return Ok(Read::Gone),
                Err(error) => return Err(error),
            }
            // One read gives a whole small file of /proc; a second one would only cost.
            if filled < buffer.len() && buffer[..filled].ends_with(b"\n") {
                break;
            }
        }
        Ok(if filled == 0 { Read::Gone } else { Read::Bytes(filled) })
    }
}

/// A process that has ended makes open say ENOENT and read say ESRCH.
fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = nix::errno::Errno::ESRCH as i32;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_gone_for_a_file_that_was_open() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let path = format!("/proc/{}/stat", child.id());
        let kept = Kept::open(Path::new(&path)).unwrap().unwrap();
        let mut buffer = [0; 1024];
        for _ in 0..2 {
            let Read::Bytes(bytes) = kept.read(&mut buffer).unwrap() else {
                panic!("alive, but gone")
            };
            assert!(crate::sampler::parse::stat(&buffer[..bytes]).is_ok());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(kept.read(&mut buffer).unwrap(), Read::Gone));
        assert!(Kept::open(Path::new(&path)).unwrap().is_none());
    }
}
