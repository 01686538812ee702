//! What files occupy on a disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use protocol::size::{Part, Size};

/// The unit of `st_blocks`, whatever the file system's own blocks are.
const BLOCK: u64 = 512;

/// A file as a part of a service: its length, or what of it is on the disk where it has holes. `None`: it is not there.
pub(crate) fn file(part: Part, path: &Path) -> Option<Size> {
    let metadata = fs::metadata(path).ok()?;
    Some(Size {
        part,
        id: path.display().to_string(),
        bytes: metadata.len().min(metadata.blocks().saturating_mul(BLOCK)),
    })
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
}
