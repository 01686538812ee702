//! What files occupy on disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use protocol::size::{Part, Size};

/// The unit of `st_blocks`, whatever the block size of the file system.
const BLOCK: u64 = 512;

/// The size of a file: its length, or what it occupies if it is sparse. `None`: it does not exist.
pub(crate) fn file(part: Part, path: &Path) -> Option<Size> {
    let metadata = fs::metadata(path).ok()?;
    Some(Size {
        part,
        id: path.display().to_string(),
        bytes: metadata.len().min(metadata.blocks().saturating_mul(BLOCK)),
    })
}

/// The size of all files below a directory. Links are not followed, and unreadable files are not counted.
pub(crate) fn tree(part: Part, dir: &Path) -> Size {
    Size {
        part,
        id: dir.display().to_string(),
        bytes: below(dir),
    }
}

fn below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => below(&entry.path()),
        Ok(metadata) => metadata.len().min(metadata.blocks().saturating_mul(BLOCK)),
        Err(_) => 0,
    };
    entries.map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, holed) = (dir.path().join("whole"), dir.path().join("holed"));
        fs::write(&whole, [1; 100_000]).unwrap();
        fs::File::create(&holed).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(file(Part::Program, &whole).unwrap().bytes, 100_000);
        assert!(file(Part::Disk, &holed).unwrap().bytes < 1 << 20);
        assert_eq!(file(Part::Disk, &dir.path().join("none")), None);
    }

    #[test]
    fn a_tree_is_the_sum_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("a"), [1; 70_000]).unwrap();
        fs::write(dir.path().join("below/b"), [1; 30_000]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("out")).unwrap();
        let bytes = tree(Part::RootFs, dir.path()).bytes;
        assert!((100_000..101_000).contains(&bytes), "{bytes}");
    }
}
