//! Writes a `newc` archive, the format of an initramfs (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! An archive is a sequence of entries: a header of 110 characters (the magic and thirteen numbers of eight hexadecimal digits), the NUL-terminated name, padded
//! to a multiple of 4 bytes, and the contents, padded likewise. The entry `TRAILER!!!` ends it. Times are zero and inode numbers are assigned in order, so equal
//! trees make equal archives.

use std::collections::BTreeMap;

use crate::guest::tree::{Node, Tree};

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
const DIR: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const DEVICE: u32 = 0o020_600;

/// A tree that does not fit into an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} does not fit into an initramfs: the format is limited to 4 GiB per file")]
pub struct TooLarge {
    /// Its path in the image.
    pub path: String,
}

/// The archive of a tree.
///
/// # Errors
/// [`TooLarge`] if a size exceeds the format's 32 bits.
pub fn write(tree: &Tree) -> Result<Vec<u8>, TooLarge> {
    let mut archive = Archive::default();
    archive.dir("", tree.root())?;
    archive.entry(TRAILER, 0, (0, 0), &[])?;
    archive.bytes.resize(archive.bytes.len().next_multiple_of(512), 0);
    Ok(archive.bytes)
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn dir(&mut self, parent: &str, entries: &BTreeMap<String, Node>) -> Result<(), TooLarge> {
        for (name, node) in entries {
            let path = if parent.is_empty() {
                name.clone()
            } else {
                format!("{parent}/{name}")
            };
            match node {
                Node::Dir(below) => {
                    self.entry(&path, DIR, (0, 0), &[])?;
                    self.dir(&path, below)?;
                }
                Node::File(file) => {
                    let mode = if file.executable { PROGRAM } else { PLAIN };
                    self.entry(&path, mode, (0, 0), &file.bytes)?;
                }
                Node::Link(target) => self.entry(&path, LINK, (0, 0), target.as_bytes())?,
                Node::Device(device) => self.entry(&path, DEVICE, (device.major, device.minor), &[])?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<(), TooLarge> {
        let fits = |length: usize| u32::try_from(length).map_err(|_| TooLarge { path: path.to_owned() });
        let (size, name_size) = (fits(content.len())?, fits(path.len() + 1)?);
        self.entries += 1;
        let links = if mode == DIR { 2 } else { 1 };
        let (user, group, time, check, no_device) = (0, 0, 0, 0, 0);
        self.bytes.extend(MAGIC.bytes());
        for number in [
            self.entries,
            mode,
            user,
            group,
            links,
            time,
            size,
            no_device,
            no_device,
            device.0,
            device.1,
            name_size,
            check,
        ] {
            self.bytes.extend(format!("{number:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::tree::Device;

    type Entry = (String, u32, (u32, u32), Vec<u8>);

    /// Reads an archive by the format's specification: name, mode, device, contents.
    fn read(mut bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let number = |i: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * i..14 + 8 * i]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (number(1), number(6) as usize, number(11) as usize);
            let device = (number(9), number(10));
            let name = std::str::from_utf8(&bytes[110..110 + name_size - 1])
                .unwrap()
                .to_owned();
            assert_eq!(bytes[110 + name_size - 1], 0);
            let start = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return entries;
            }
            entries.push((name, mode, device, bytes[start..start + size].to_vec()));
            bytes = &bytes[(start + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn an_archive_can_be_read_back() {
        let mut tree = Tree::default();
        tree.file("/init", b"#!".to_vec(), true).unwrap();
        tree.file("/modules/0-virtio.ko", vec![7; 5], false).unwrap();
        tree.link("/bin", "modules").unwrap();
        tree.device("/dev/console", Device { major: 5, minor: 1 }).unwrap();
        let bytes = write(&tree).unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let expected = [
            ("bin", 0o120_777, (0, 0), b"modules".to_vec()),
            ("dev", 0o040_755, (0, 0), Vec::new()),
            ("dev/console", 0o020_600, (5, 1), Vec::new()),
            ("init", 0o100_755, (0, 0), b"#!".to_vec()),
            ("modules", 0o040_755, (0, 0), Vec::new()),
            ("modules/0-virtio.ko", 0o100_644, (0, 0), vec![7; 5]),
        ];
        assert_eq!(
            read(&bytes),
            expected.map(|(name, mode, device, content)| (name.to_owned(), mode, device, content))
        );
    }

    #[test]
    fn cpio_can_read_an_archive() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut tree = Tree::default();
        tree.file("/init", b"hello".to_vec(), true).unwrap();
        let Ok(mut cpio) = Command::new("cpio")
            .arg("-it")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
        else {
            return; // no cpio on this machine: the reader above must do
        };
        let bytes = write(&tree).unwrap();
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        let listed = cpio.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), "init\n");
    }
}
