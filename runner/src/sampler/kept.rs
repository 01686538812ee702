//! A file of `/proc`, `/sys` or a cgroup that stays open and is read in place: no path walk a sample, and a file that was opened for a process
//! never tells of another one that got its PID.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;

/// An open file.
#[derive(Debug)]
pub struct Kept(File);

/// What came of reading.
#[derive(Debug)]
pub enum Read {
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// What it told of is gone, or the kernel does not keep it.
    Gone,
}

impl Kept {
    /// Opens a file; `None`: what it tells of is gone, or there is no such file.
    ///
    /// # Errors
    /// What is not "gone", such as too many open files or a permission.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a folder for what the system says of it, which needs no permission to list it; `None`: there is none.
    ///
    /// # Errors
    /// What is not "gone".
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

    /// Reads the file from its beginning; the buffer grows if need be. For files that the kernel writes in one piece.
    ///
    /// # Errors
    /// What is not "gone".
    pub fn read(&self, buffer: &mut Vec<u8>) -> io::Result<Read> {
        // One read gives the whole of such a file; a second one would only cost.
        self.fill(buffer, |text| text.ends_with(b"\n"))
    }

    /// What the system says of the open file, or folder.
    ///
    /// # Errors
    /// What is not "gone".
    pub fn metadata(&self) -> io::Result<Option<std::fs::Metadata>> {
        match self.0.metadata() {
            Ok(told) => Ok(Some(told)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the file to its end. For lists, which the kernel writes in several pieces.
    ///
    /// # Errors
    /// What is not "gone".
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

/// A process that has ended makes open say ENOENT and read say ESRCH, a cgroup ENODEV; what the kernel was told not to keep says EOPNOTSUPP.
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
    fn a_process_that_ended_is_gone_for_a_file_that_was_open() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let path = format!("/proc/{}/stat", child.id());
        let kept = Kept::open(Path::new(&path)).unwrap().unwrap();
        let mut buffer = Vec::new();
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

    #[test]
    fn a_file_that_is_longer_than_the_buffer_is_read_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "a line\n".repeat(3000);
        std::fs::write(file.path(), &text).unwrap();
        let kept = Kept::open(file.path()).unwrap().unwrap();
        for buffer in [&mut Vec::new(), &mut vec![0; 7], &mut vec![0; 1 << 16]] {
            assert!(
                matches!(kept.read_to_end(buffer).unwrap(), Read::Bytes(bytes) if buffer[..bytes] == *text.as_bytes())
            );
        }
    }
}
