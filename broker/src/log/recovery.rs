//! Recovery of a log: every batch is verified, and an invalid tail is truncated and logged.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::batch::{BatchError, BatchHeader, HEADER_BYTES};
use super::producers::Producers;
use super::segment::Segment;
use crate::error::StorageError;

/// Loads and verifies the segments of a directory, in order; never empty.
pub fn load(folder: &Path, producers: &mut Producers) -> Result<Vec<Segment>, StorageError> {
    let mut loaded: Vec<Segment> = Vec::new();
    let mut rest = segment_files(folder)?.into_iter();
    let mut next = None;
    for (base, path) in rest.by_ref() {
        if next.is_some_and(|next| next != base) {
            set_aside(&path, "gap after the previous segment")?;
            break;
        }
        let mut segment = Segment::new(folder, base);
        let scan = scan(&mut segment, producers)?;
        next = Some(scan.next);
        loaded.push(segment);
        if let Some(error) = scan.error {
            truncate(loaded.last_mut(), &error)?;
            break;
        }
    }
    for (_, path) in rest {
        set_aside(&path, "an earlier segment is damaged")?;
    }
    if loaded.is_empty() {
        loaded.push(Segment::new(folder, 0));
    }
    let last = loaded.len() - 1;
    loaded[..last].iter_mut().for_each(Segment::close);
    Ok(loaded)
}

fn segment_files(folder: &Path) -> Result<Vec<(i64, PathBuf)>, StorageError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(StorageError::at("list", folder))? {
        let path = entry.map_err(StorageError::at("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(base) = name.strip_suffix(".log").and_then(|base| base.parse().ok()) {
            files.push((base, path));
        }
    }
    files.sort();
    Ok(files)
}

struct Scan {
    /// Offset after the last valid batch.
    next: i64,
    /// Why the scan ended before the end of the file.
    error: Option<BatchError>,
}

/// Reads a segment batch by batch, with one batch in memory.
fn scan(segment: &mut Segment, producers: &mut Producers) -> Result<Scan, StorageError> {
    let path = segment.path.clone();
    let file = fs::File::open(&path).map_err(StorageError::at("open", &path))?;
    let length = file.metadata().map_err(StorageError::at("inspect", &path))?.len();
    let mut reader = std::io::BufReader::with_capacity(1 << 20, file);
    let mut next = segment.base;
    while segment.size < length {
        let batch = read_batch(&mut reader, length - segment.size).map_err(StorageError::at("read", &path))?;
        let error = match batch.and_then(|bytes| BatchHeader::verify(&bytes)) {
            Ok(header) if header.base_offset == next => {
                segment.record(&header);
                producers.record(&header);
                next = header.last_offset() + 1;
                continue;
            }
            Ok(_) => BatchError::Inconsistent,
            Err(error) => error,
        };
        return Ok(Scan {
            next,
            error: Some(error),
        });
    }
    Ok(Scan { next, error: None })
}

fn read_batch(reader: &mut impl Read, left: u64) -> std::io::Result<Result<Vec<u8>, BatchError>> {
    if left < HEADER_BYTES as u64 {
        return Ok(Err(BatchError::Truncated));
    }
    let mut bytes = vec![0; HEADER_BYTES];
    reader.read_exact(&mut bytes)?;
    let header = match BatchHeader::parse(&bytes) {
        Ok(header) if header.size as u64 > left => return Ok(Err(BatchError::Truncated)),
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    bytes.resize(header.size, 0);
    reader.read_exact(&mut bytes[HEADER_BYTES..])?;
    Ok(Ok(bytes))
}

/// Truncates the file after its last valid batch.
fn truncate(segment: Option<&mut Segment>, error: &BatchError) -> Result<(), StorageError> {
    let Some(segment) = segment else {
        return Ok(());
    };
    let file = segment.file()?;
    let length = file
        .metadata()
        .map_err(StorageError::at("inspect", &segment.path))?
        .len();
    warn!(
        file = %segment.path.display(), kept_bytes = segment.size, truncated_bytes = length - segment.size, %error,
        "truncated an invalid tail"
    );
    file.set_len(segment.size)
        .and_then(|()| file.sync_all())
        .map_err(StorageError::at("truncate", &segment.path))
}

/// Renames a segment so that it is not loaded but can still be inspected.
fn set_aside(path: &Path, reason: &str) -> Result<(), StorageError> {
    let aside = path.with_extension("log.cut");
    warn!(file = %path.display(), aside = %aside.display(), reason, "segment set aside");
    fs::rename(path, &aside).map_err(StorageError::at("rename", path))
}
