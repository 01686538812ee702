//! Recovery of a partition log after random damage, and retention.

use std::fs;
use std::path::Path;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::batch::BatchHeader;
use super::{LogSettings, PartitionLog};

const SETTINGS: LogSettings = LogSettings {
    segment_bytes: 400,
    max_batch: 10_000,
    producers: 10,
};

/// A batch of one record whose value is `value`.
fn batch(sequence: i32, value: &[u8]) -> BytesMut {
    let mut record = vec![0, 0, 0, 1];
    record.push(u8::try_from(value.len() * 2).unwrap());
    record.extend(value);
    record.push(0);
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(0);
    body.put_i64(1000);
    body.put_i64(1000);
    body.put_i64(7);
    body.put_i16(0);
    body.put_i32(sequence);
    body.put_i32(1);
    body.put_u8(u8::try_from(record.len() * 2).unwrap());
    body.put_slice(&record);
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(i32::try_from(body.len() + 9).unwrap());
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&body));
    batch.put_slice(&body);
    batch
}

fn fill(folder: &Path, count: i32) {
    let mut log = PartitionLog::open(folder, SETTINGS).unwrap();
    for n in 0..count {
        assert_eq!(log.append(&batch(n, &[b'v'; 20])).unwrap().base_offset, i64::from(n));
    }
}

/// Reads every batch from start to end.
fn check_readable(log: &PartitionLog) {
    for offset in log.start()..log.end() {
        let bytes = log.read(offset, 1, true).unwrap();
        let header = BatchHeader::verify(&bytes).unwrap();
        assert_eq!(header.base_offset, offset);
    }
    assert!(log.read(log.end(), 1000, true).unwrap().is_empty());
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Records before the damage survive, and appends continue after them.
    #[test]
    fn damage_loses_only_the_tail(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), cut in any::<bool>(), flip in 1u8..
    ) {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 20);
        let all = files(folder.path());
        prop_assert!(all.len() > 3);
        let file = &all[which.index(all.len())];
        let base: i64 = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let mut bytes = fs::read(file).unwrap();
        let size = batch(0, &[b'v'; 20]).len();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        fs::write(file, &bytes).unwrap();

        let mut log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
        let whole = base + i64::try_from(at / size).unwrap();
        // The checksum does not cover the leader epoch (bytes 12 to 15); flipping it is harmless.
        let harmless = !cut && (12..16).contains(&(at % size));
        prop_assert_eq!(log.end(), if harmless { 20 } else { whole });
        check_readable(&log);
        let next = i32::try_from(log.end()).unwrap();
        log.append(&batch(next, b"new")).unwrap();
        drop(log);
        let log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
        prop_assert_eq!(log.end(), i64::from(next) + 1);
        check_readable(&log);
    }
}

#[test]
fn producer_state_is_recovered() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 5);
    let mut log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
    let repeated = log.append(&batch(3, &[b'v'; 20])).unwrap();
    assert_eq!((repeated.base_offset, repeated.file.is_none(), log.end()), (3, true, 5));
    assert!(matches!(
        log.append(&batch(9, b"gap")),
        Err(super::AppendError::OutOfOrder)
    ));
}

#[test]
fn deleted_records_stay_deleted() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20);
    let before = files(folder.path()).len();
    let mut log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
    log.delete_before(11).unwrap();
    assert_eq!((log.start(), log.end()), (11, 20));
    assert!(files(folder.path()).len() < before);
    drop(log);
    let log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
    assert_eq!((log.start(), log.end()), (11, 20));
    check_readable(&log);
}

#[test]
fn retention_by_age_deletes_the_active_segment_and_offsets_continue() {
    use std::time::{Duration, SystemTime};
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 5);
    let mut log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
    let retention = crate::Retention {
        bytes: None,
        age: Some(Duration::from_secs(1)),
    };
    log.apply_retention(&retention, SystemTime::now()).unwrap();
    assert_eq!((log.start(), log.end()), (5, 5));
    drop(log);
    let mut log = PartitionLog::open(folder.path(), SETTINGS).unwrap();
    assert_eq!(log.append(&batch(5, b"on")).unwrap().base_offset, 5);
}
