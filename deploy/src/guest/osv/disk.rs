//! The disk from which OSv mounts its root file system: a master boot record whose second entry is the partition.
//!
//! OSv numbers partitions by their position in the record, from 0, and mounts `/dev/vblk0.1` as its root. It requires an entry to have a type and a starting
//! sector, and takes position and size from the two 32-bit numbers, not from cylinders.

/// Bytes per sector.
const SECTOR: usize = 512;
/// First sector of the partition: 8 aligns it to a page of the host's page cache.
const FIRST: u32 = 8;
/// Offset of the record's second entry.
const ENTRY: usize = 0x1be + 16;

/// A file system that does not fit into a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes do not fit into a partition: a whole number of 512-byte sectors below 2 TiB is needed")]
pub struct NoPartition {
    /// Its length.
    pub bytes: usize,
}

/// Puts a file system, a whole number of sectors, on a disk of its own.
///
/// # Errors
/// [`NoPartition`] if it is not a whole number of sectors, or does not fit into the record's 32 bits.
pub fn with_partition(file_system: &[u8]) -> Result<Vec<u8>, NoPartition> {
    let bad = NoPartition {
        bytes: file_system.len(),
    };
    let sectors = u32::try_from(file_system.len() / SECTOR).map_err(|_| bad)?;
    if !file_system.len().is_multiple_of(SECTOR) || sectors == 0 {
        return Err(bad);
    }
    let mut disk = vec![0; FIRST as usize * SECTOR];
    let beyond_cylinders = [0xfe, 0xff, 0xff];
    let mut entry = vec![0];
    entry.extend(beyond_cylinders);
    entry.push(0x83);
    entry.extend(beyond_cylinders);
    entry.extend(FIRST.to_le_bytes());
    entry.extend(sectors.to_le_bytes());
    disk[ENTRY..ENTRY + 16].copy_from_slice(&entry);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk.extend(file_system);
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_entry_locates_the_file_system() {
        let file_system = vec![7; 1024];
        let disk = with_partition(&file_system).unwrap();
        assert_eq!(&disk[510..512], [0x55, 0xaa]);
        assert!(
            disk[0x1be..0x1ce].iter().all(|&byte| byte == 0),
            "the first entry is unused"
        );
        let entry = &disk[0x1ce..0x1de];
        assert_eq!(entry[4], 0x83);
        assert_ne!(entry[2] & 0x3f, 0, "OSv skips an entry without a starting sector");
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(&disk[word(8) * 512..][..word(12) * 512], &file_system[..]);
        assert_eq!(disk.len(), (word(8) + word(12)) * 512);
    }

    #[test]
    fn half_a_sector_is_refused() {
        assert!(with_partition(&[0; 513]).is_err());
        assert!(with_partition(&[]).is_err());
    }
}
