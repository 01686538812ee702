//! Writes a tree as a directory of the host, for a guest that mounts its root by virtio-fs.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::tree::{Node, Tree};

/// Writes a tree to a directory, which must not exist. Modes are the same as in the other formats, whatever the umask.
///
/// # Errors
/// The system's error; [`io::ErrorKind::Unsupported`] for a device, which a shared directory cannot hold.
pub fn write(tree: &Tree, at: &Path) -> io::Result<()> {
    dir(tree.root(), at)
}

fn dir(entries: &BTreeMap<String, Node>, at: &Path) -> io::Result<()> {
    fs::create_dir(at)?;
    fs::set_permissions(at, Permissions::from_mode(0o755))?;
    for (name, node) in entries {
        let at = at.join(name);
        match node {
            Node::Dir(below) => dir(below, &at)?,
            Node::File(file) => {
                fs::write(&at, &file.bytes)?;
                let mode = if file.executable { 0o755 } else { 0o644 };
                fs::set_permissions(&at, Permissions::from_mode(mode))?;
            }
            Node::Link(target) => symlink(target, &at)?,
            Node::Device(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::tree::Device;

    #[test]
    fn a_tree_becomes_files_links_and_directories() {
        let mut tree = Tree::default();
        tree.file("/workload", b"x".to_vec(), true).unwrap();
        tree.file("/etc/fstab", b"y".to_vec(), false).unwrap();
        tree.link("/etc/mnttab", "/proc/mounts").unwrap();
        tree.dir("/dev").unwrap();
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        write(&tree, &root).unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            [mode("workload"), mode("etc/fstab"), mode("dev")],
            [0o755, 0o644, 0o755]
        );
        assert_eq!(fs::read(root.join("etc/fstab")).unwrap(), b"y");
        assert_eq!(
            fs::read_link(root.join("etc/mnttab")).unwrap(),
            Path::new("/proc/mounts")
        );
        assert!(write(&tree, &root).is_err(), "it exists");
    }

    #[test]
    fn a_device_is_refused() {
        let mut tree = Tree::default();
        tree.device("/dev/console", Device { major: 5, minor: 1 }).unwrap();
        let place = tempfile::tempdir().unwrap();
        let error = write(&tree, &place.path().join("root")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
