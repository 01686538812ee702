//! A tree of files for a guest's image, independent of the image's format.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::linux::initramfs::{self, TooLarge};

/// A node of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory with its entries sorted by name, so that equal trees make equal images.
    Dir(BTreeMap<String, Node>),
    /// A regular file.
    File(File),
    /// A symbolic link to this path.
    Link(String),
    /// A character device, for images whose kernel opens one before anything is mounted.
    Device(Device),
}

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it is executable.
    pub executable: bool,
}

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// Why a node cannot be added to a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Not an absolute path of plain names.
    #[error("{0:?} is not a valid path in an image: use an absolute path without ., .. and control characters")]
    BadPath(String),
    /// A parent is not a directory, or the path exists.
    #[error("{0:?} cannot be added to the image: it, or a file in place of its directory, exists already")]
    Taken(String),
}

/// A tree of files, empty at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    root: BTreeMap<String, Node>,
}

impl Tree {
    /// The entries of the root.
    #[must_use]
    pub const fn root(&self) -> &BTreeMap<String, Node> {
        &self.root
    }

    /// SHA-256 of its contents, in hexadecimal: of an archive of it, whose format does not matter.
    ///
    /// # Errors
    /// A file that is too large for any image.
    pub fn sha256(&self) -> Result<String, TooLarge> {
        let archive = initramfs::write(self)?;
        Ok(Sha256::digest(&archive)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// Adds a directory and its parents at an absolute path, unless it exists.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn dir(&mut self, path: &str) -> Result<(), TreeError> {
        self.enter(path, &parts(path)?).map(drop)
    }

    /// Adds a file and its parent directories at an absolute path.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn file(&mut self, path: &str, bytes: Vec<u8>, executable: bool) -> Result<(), TreeError> {
        self.put(path, Node::File(File { bytes, executable }))
    }

    /// Adds a symbolic link and its parent directories at an absolute path.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        self.put(path, Node::Link(target.to_owned()))
    }

    /// Adds a character device and its parent directories at an absolute path.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn device(&mut self, path: &str, device: Device) -> Result<(), TreeError> {
        self.put(path, Node::Device(device))
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        let parts = parts(path)?;
        let (name, parents) = parts.split_last().ok_or_else(|| TreeError::BadPath(path.to_owned()))?;
        let dir = self.enter(path, parents)?;
        if dir.contains_key(*name) {
            return Err(TreeError::Taken(path.to_owned()));
        }
        dir.insert((*name).to_owned(), node);
        Ok(())
    }

    fn enter(&mut self, path: &str, parts: &[&str]) -> Result<&mut BTreeMap<String, Node>, TreeError> {
        let mut dir = &mut self.root;
        for part in parts {
            let node = dir
                .entry((*part).to_owned())
                .or_insert_with(|| Node::Dir(BTreeMap::new()));
            let Node::Dir(next) = node else {
                return Err(TreeError::Taken(path.to_owned()));
            };
            dir = next;
        }
        Ok(dir)
    }
}

fn parts(path: &str) -> Result<Vec<&str>, TreeError> {
    let bad = || TreeError::BadPath(path.chars().take(80).collect());
    let parts: Vec<&str> = path.strip_prefix('/').ok_or_else(bad)?.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty() && part.len() < 256 && *part != "." && *part != ".." && !part.contains(char::is_control)
    };
    if parts.iter().all(plain) { Ok(parts) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_created() {
        let mut tree = Tree::default();
        tree.file("/usr/lib/libgcc_s.so.1", vec![1], true).unwrap();
        tree.dir("/usr/lib").unwrap();
        let Some(Node::Dir(usr)) = tree.root().get("usr") else {
            panic!("no /usr")
        };
        assert!(matches!(&usr["lib"], Node::Dir(lib) if lib.contains_key("libgcc_s.so.1")));
    }

    #[test]
    fn a_path_out_of_the_image_is_refused() {
        let mut tree = Tree::default();
        for bad in ["", "x", "/", "/a/../b", "/a//b", "/a/.", "/a\nb"] {
            assert!(tree.file(bad, Vec::new(), false).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_is_not_a_directory() {
        let mut tree = Tree::default();
        tree.file("/a", Vec::new(), false).unwrap();
        assert_eq!(tree.dir("/a/b"), Err(TreeError::Taken("/a/b".into())));
        assert_eq!(tree.link("/a", "b"), Err(TreeError::Taken("/a".into())));
    }
}
