//! A file of `/proc`, `/sys` or a cgroup that stays open and is read in place. This saves a path lookup per sample, and a file that was opened for
//! one process never reports another that was given the same PID.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;

/// An open file.
#[derive(Debug)]
pub struct OpenFile(File);

/// The result of a read.
#[derive(Debug)]
pub enum Read {
    /// This many bytes are in the buffer.
    Bytes(usize),
    /// The process or device is gone, or the kernel does not keep this figure.
    Gone,
}

impl OpenFile {
    /// Opens a file; `None`: the process or device is gone, or there is no such file.
    ///
    /// # Errors
    /// Any error that does not mean "gone", such as too many open files or a missing permission.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a folder for its metadata, which needs no permission to list it; `None`: there is none.
    ///
    /// # Errors
    /// Any error that does not mean "gone".
    pub fn folder(path: &Path) -> io::Result<Option<Self>> {
        let opened = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(path);
        match opened {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the file from its beginning; the buffer grows as needed. For files that the kernel produces in one piece.
    ///
    /// # Errors
    /// Any error that does not mean "gone".
    pub fn read(&self, buffer: &mut Vec<u8>) -> io::Result<Read> {
        // One read returns such a file whole; a second one would only cost time.
        self.fill(buffer, |text| text.ends_with(b"\n"))
    }

    /// The metadata of the open file or folder; `None`: gone.
    ///
    /// # Errors
    /// Any error that does not mean "gone".
    pub fn metadata(&self) -> io::Result<Option<std::fs::Metadata>> {
        match self.0.metadata() {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the file to its end. For lists, which the kernel produces in several pieces.
    ///
    /// # Errors
    /// Any error that does not mean "gone".
    pub fn read_to_end(&self, buffer: &mut Vec<u8>) -> io::Result<Read> {
        self.fill(buffer, |_| false)
    }

    fn fill(&self, buffer: &mut Vec<u8>, is_whole: impl Fn(&[u8]) -> bool) -> io::Result<Read> {
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                buffer.resize((2 * filled).max(4096), 0);
            }
            match self.0.read_at(&mut buffer[filled..], filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_gone(&error) => return Ok(Read::Gone),
                Err(error) => return Err(error),
            }
            if filled < buffer.len() && is_whole(&buffer[..filled]) {
                break;
            }
        }
        Ok(if filled == 0 { Read::Gone } else { Read::Bytes(filled) })
    }
}

/// For a process that has ended, `open` fails with ENOENT and `read` with ESRCH; for a cgroup, with ENODEV. A figure that the kernel is configured not to
/// keep fails with EOPNOTSUPP.
fn is_gone(error: &io::Error) -> bool {
    const GONE: [i32; 4] = [
        Errno::ENOENT as i32,
        Errno::ESRCH as i32,
        Errno::ENODEV as i32,
        Errno::EOPNOTSUPP as i32,
    ];
    error.raw_os_error().is_some_and(|code| GONE.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_of_an_ended_process_reads_as_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let path = format!("/proc/{}/stat", child.id());
        let file = OpenFile::open(Path::new(&path)).unwrap().unwrap();
        let mut buffer = Vec::new();
        for _ in 0..2 {
            let Read::Bytes(bytes) = file.read(&mut buffer).unwrap() else {
                panic!("alive, but read as gone")
            };
            assert!(crate::sampler::parse::stat(&buffer[..bytes]).is_ok());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(file.read(&mut buffer).unwrap(), Read::Gone));
        assert!(OpenFile::open(Path::new(&path)).unwrap().is_none());
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let temporary = tempfile::NamedTempFile::new().unwrap();
        let text = "a line\n".repeat(3000);
        std::fs::write(temporary.path(), &text).unwrap();
        let file = OpenFile::open(temporary.path()).unwrap().unwrap();
        for buffer in [&mut Vec::new(), &mut vec![0; 7], &mut vec![0; 1 << 16]] {
            assert!(
                matches!(file.read_to_end(buffer).unwrap(), Read::Bytes(bytes) if buffer[..bytes] == *text.as_bytes())
            );
        }
    }
}
