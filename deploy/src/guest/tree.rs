//! A tree of files that goes into a guest's image, whatever the image's format.

use std::collections::BTreeMap;

/// What stands at a place of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory with its entries in the order of their names, so that equal trees make equal images.
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
    /// Whether it is a program.
    pub executable: bool,
}

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
}

/// Why something cannot be put into a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Not an absolute path of plain names.
    #[error("{0:?} is no path for an image: write it absolute, without . and .. and without control characters")]
    BadPath(String),
    /// A parent is not a directory, or the place is taken.
    #[error("{0:?} cannot be put into the image: something that is no directory stands there already")]
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

    /// Puts a directory and its parents at an absolute path; one that is there already stays as it is.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn dir(&mut self, path: &str) -> Result<(), TreeError> {
        self.enter(path, &parts(path)?).map(drop)
    }

    /// Puts a file at an absolute path, and makes its parents.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn file(&mut self, path: &str, bytes: Vec<u8>, executable: bool) -> Result<(), TreeError> {
        self.put(path, Node::File(File { bytes, executable }))
    }

    /// Puts a symbolic link at an absolute path, and makes its parents.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        self.put(path, Node::Link(target.to_owned()))
    }

    /// Puts a character device at an absolute path, and makes its parents.
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
    fn parents_are_made() {
        let mut tree = Tree::default();
        tree.file("/usr/lib/libgcc_s.so.1", vec![1], true).unwrap();
        tree.dir("/usr/lib").unwrap();
        let Some(Node::Dir(usr)) = tree.root().get("usr") else {
            panic!("no /usr")
        };
        assert!(matches!(&usr["lib"], Node::Dir(lib) if lib.contains_key("libgcc_s.so.1")));
    }

    #[test]
    fn what_leaves_the_image_is_refused() {
        let mut tree = Tree::default();
        for bad in ["", "x", "/", "/a/../b", "/a//b", "/a/.", "/a\nb"] {
            assert!(tree.file(bad, Vec::new(), false).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_is_no_directory() {
        let mut tree = Tree::default();
        tree.file("/a", Vec::new(), false).unwrap();
        assert_eq!(tree.dir("/a/b"), Err(TreeError::Taken("/a/b".into())));
        assert_eq!(tree.link("/a", "b"), Err(TreeError::Taken("/a".into())));
    }
}
