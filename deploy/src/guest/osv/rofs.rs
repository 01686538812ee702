//! Writes OSv's read-only file system, rofs, version 1 (format: `fs/rofs/rofs.hh` and the mount code of OSv of August 2026).
//!
//! ```text
//! block 0          superblock: eight little-endian 64-bit numbers
//! block 1 ..       the files, each in blocks of its own
//! then, packed     directory entries: inode number (8), length of the name (2), name
//!                  symbolic links: length of the path (2), path
//!                  inodes: mode (8), number (8), data (8), count (8)
//! ```
//! A block has 512 bytes. Inodes are numbered from 1, the root first. An inode's `data` and `count` are, for a file, its first block and its bytes; for a
//! directory, the index and the number of its entries, which are contiguous; for a link, its index among the links and 1.

use std::collections::BTreeMap;

use crate::guest::tree::{Node, Tree};

/// Bytes per block.
pub const BLOCK: usize = 512;
/// Magic number of the superblock.
pub const MAGIC: u64 = 0xDEAD_BEAD;
/// The only version.
pub const VERSION: u64 = 1;
/// Mode of a directory's inode: the type only, as permissions are not stored.
pub const DIR: u64 = 0x4000;
/// Mode of a file's inode.
pub const FILE: u64 = 0x8000;
/// Mode of a link's inode.
pub const LINK: u64 = 0xA000;

/// Why a tree does not fit into rofs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RofsError {
    /// It contains a device.
    #[error("{0}: rofs does not support devices; OSv mounts its own on /dev")]
    Device(String),
    /// A name or a link's target is too long.
    #[error("{0}: names and link targets in rofs are limited to 65535 bytes")]
    TooLong(String),
}

/// The file system of a tree, a whole number of blocks.
///
/// # Errors
/// See [`RofsError`].
pub fn write(tree: &Tree) -> Result<Vec<u8>, RofsError> {
    let mut rofs = Rofs::default();
    rofs.data.resize(BLOCK, 0);
    rofs.inode(DIR);
    rofs.dir(1, tree.root())?;
    Ok(rofs.finish())
}

#[derive(Default)]
struct Rofs {
    data: Vec<u8>,
    entries: Vec<u8>,
    entries_count: u64,
    links: Vec<u8>,
    links_count: u64,
    inodes: Vec<Inode>,
}

struct Inode {
    mode: u64,
    data: u64,
    count: u64,
}

impl Rofs {
    /// Adds an inode; returns its number.
    fn inode(&mut self, mode: u64) -> u64 {
        self.inodes.push(Inode {
            mode,
            data: 0,
            count: 0,
        });
        self.inodes.len() as u64
    }

    fn fill(&mut self, number: u64, data: u64, count: u64) {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        if let Some(inode) = index.and_then(|index| self.inodes.get_mut(index)) {
            (inode.data, inode.count) = (data, count);
        }
    }

    fn dir(&mut self, number: u64, entries: &BTreeMap<String, Node>) -> Result<(), RofsError> {
        self.fill(number, self.entries_count, entries.len() as u64);
        let mut below = Vec::new();
        for (name, node) in entries {
            let child = self.inode(match node {
                Node::Dir(_) => DIR,
                Node::File(_) => FILE,
                Node::Link(_) => LINK,
                Node::Device(_) => return Err(RofsError::Device(name.clone())),
            });
            self.entries.extend(child.to_le_bytes());
            text(&mut self.entries, name)?;
            self.entries_count += 1;
            below.push((child, node));
        }
        below.into_iter().try_for_each(|(child, node)| self.node(child, node))
    }

    fn node(&mut self, number: u64, node: &Node) -> Result<(), RofsError> {
        match node {
            Node::Dir(entries) => self.dir(number, entries)?,
            Node::File(file) => {
                self.fill(number, (self.data.len() / BLOCK) as u64, file.bytes.len() as u64);
                self.data.extend(&file.bytes);
                pad(&mut self.data);
            }
            Node::Link(target) => {
                self.fill(number, self.links_count, 1);
                self.links_count += 1;
                text(&mut self.links, target)?;
            }
            Node::Device(_) => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        let first = self.data.len() / BLOCK;
        self.data.extend(&self.entries);
        self.data.extend(&self.links);
        for (inode, number) in self.inodes.iter().zip(1_u64..) {
            for field in [inode.mode, number, inode.data, inode.count] {
                self.data.extend(field.to_le_bytes());
            }
        }
        pad(&mut self.data);
        let superblock = [
            MAGIC,
            VERSION,
            BLOCK as u64,
            first as u64,
            (self.data.len() / BLOCK - first) as u64,
            self.entries_count,
            self.links_count,
            self.inodes.len() as u64,
        ];
        for (place, number) in self.data.chunks_exact_mut(8).zip(superblock) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.data
    }
}

fn text(into: &mut Vec<u8>, text: &str) -> Result<(), RofsError> {
    let length = u16::try_from(text.len()).map_err(|_| RofsError::TooLong(text.chars().take(80).collect()))?;
    into.extend(length.to_le_bytes());
    into.extend(text.bytes());
    Ok(())
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
#[path = "rofs/tests.rs"]
mod tests;
