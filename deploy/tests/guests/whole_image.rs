//! Assembles a complete OSv image as OSv's own build does: `loader.img` (boot sector, space for the command line, compressed kernel), followed by a root
//! file system.

use std::path::Path;

use deploy::guest::osv::rofs;
use deploy::guest::tree::Tree;

/// Bytes per sector.
const SECTOR: usize = 512;
/// Offset and maximum length of the command line.
const COMMAND_LINE: std::ops::Range<usize> = SECTOR..64 * SECTOR;
/// Offset of the second entry of the partition table.
const ENTRY: usize = 0x1ce;

/// An image with a workload in a read-only root file system, and a command line.
pub fn assemble(workload: &Path, command_line: &str) -> Vec<u8> {
    let loader = std::env::var_os("JUNG_OSV_LOADER_IMG")
        .expect("JUNG_OSV_LOADER_IMG is not set to OSv's loader.img; without one, --skip osv_image::");
    let mut image = std::fs::read(loader).unwrap();
    image.resize(image.len().next_multiple_of(128 * SECTOR), 0);
    let line = image[COMMAND_LINE].iter_mut().zip(command_line.bytes().chain([0]));
    line.for_each(|(to, from)| *to = from);
    let mut root = rofs::write(&tree(workload)).unwrap();
    root.resize(root.len().next_multiple_of(SECTOR), 0);
    let sectors = |bytes: usize| u32::try_from(bytes / SECTOR).unwrap().to_le_bytes();
    let entry: Vec<u8> = [0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff]
        .into_iter()
        .chain(sectors(image.len()))
        .chain(sectors(root.len()))
        .collect();
    image[ENTRY..ENTRY + 16].copy_from_slice(&entry);
    image.extend(root);
    image
}

fn tree(workload: &Path) -> Tree {
    let mut tree = Tree::default();
    tree.file("/workload", std::fs::read(workload).unwrap(), true).unwrap();
    tree.file("/etc/fstab", b"/dev/vblk0.1 / rofs defaults 0 0\n".to_vec(), false)
        .unwrap();
    for dir in ["/dev", "/proc", "/sys", "/tmp"] {
        tree.dir(dir).unwrap();
    }
    tree.link("/etc/mnttab", "/proc/mounts").unwrap();
    tree
}
