//! Writes a [`Tree`] as a disk with a FAT file system, which every Linux can read. Equal trees make equal disks: nothing in it depends on time or chance.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};

use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions, format_volume};

use crate::guest::tree::{Node, Tree};

/// Space for the file system's own structures, and the smallest disk, bytes.
const ROOM: usize = 256 << 10;
/// A disk's size is a multiple of this, bytes.
const UNIT: usize = 4096;

/// Why a tree cannot be written as FAT.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// It contains a link or a device.
    #[error("{0}: FAT supports files and directories only")]
    NoFile(String),
    /// Writing failed.
    #[error("writing a FAT file system: {0}")]
    Write(#[from] io::Error),
}

/// A disk without partitions that contains a tree, under a label of at most 11 characters.
///
/// # Errors
/// See [`FatError`].
pub fn write(label: &str, tree: &Tree) -> Result<Vec<u8>, FatError> {
    let content = bytes(tree.root());
    // Files are rounded up to clusters, and each cluster needs an entry of at most two bytes in each of two tables.
    let length = (content + content / 16 + ROOM).next_multiple_of(UNIT);
    let mut disk = vec![0; length];
    let mut name = [b' '; 11];
    name.iter_mut()
        .zip(label.bytes())
        .for_each(|(place, byte)| *place = byte);
    format_volume(
        Cursor::new(&mut disk[..]),
        FormatVolumeOptions::new().volume_label(name),
    )?;
    {
        let file_system = FileSystem::new(Cursor::new(&mut disk[..]), FsOptions::new())?;
        fill(&file_system.root_dir(), tree.root())?;
        file_system.unmount()?;
    }
    Ok(disk)
}

fn fill<T: fatfs::ReadWriteSeek>(dir: &Dir<'_, T>, entries: &BTreeMap<String, Node>) -> Result<(), FatError> {
    for (name, node) in entries {
        match node {
            Node::Dir(below) => fill(&dir.create_dir(name)?, below)?,
            Node::File(file) => {
                let mut written = dir.create_file(name)?;
                written.write_all(&file.bytes)?;
                written.flush()?;
            }
            Node::Link(_) | Node::Device(_) => return Err(FatError::NoFile(name.clone())),
        }
    }
    Ok(())
}

fn bytes(entries: &BTreeMap<String, Node>) -> usize {
    let of = |node: &Node| match node {
        Node::Dir(below) => UNIT + bytes(below),
        Node::File(file) => file.bytes.len().next_multiple_of(UNIT),
        Node::Link(_) | Node::Device(_) => 0,
    };
    entries.values().map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_disk_can_be_read_back() {
        let mut tree = Tree::default();
        let program: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        tree.file("/workload", program.clone(), true).unwrap();
        tree.file("/network-config", b"{}".to_vec(), false).unwrap();
        tree.file("/etc/a.long.name", b"x".to_vec(), false).unwrap();
        let disk = write("CIDATA", &tree).unwrap();
        assert_eq!(disk, write("CIDATA", &tree).unwrap(), "equal trees make equal disks");
        let read = FileSystem::new(Cursor::new(disk), FsOptions::new()).unwrap();
        assert_eq!(read.volume_label(), "CIDATA");
        let text = |path: &str| {
            let mut bytes = Vec::new();
            read.root_dir()
                .open_file(path)
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        };
        assert_eq!(text("workload"), program);
        assert_eq!(text("network-config"), b"{}");
        assert_eq!(text("etc/a.long.name"), b"x");
    }

    #[test]
    fn a_link_is_refused() {
        let mut tree = Tree::default();
        tree.link("/a", "b").unwrap();
        assert!(write("X", &tree).unwrap_err().to_string().contains("a: FAT"));
    }
}
