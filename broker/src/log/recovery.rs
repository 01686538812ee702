//! Loading a log: every batch is checked, a torn tail is cut off and the log says so.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::{BatchError, BatchHeader, HEADER_BYTES, Producers, Segment};
use crate::error::StorageError;

/// The segments of a folder, checked, in order; never empty.
pub fn load(folder: &Path, producers: &mut Producers) -> Result<Vec<Segment>, StorageError> {
    let mut loaded: Vec<Segment> = Vec::new();
    let mut rest = segment_files(folder)?.into_iter();
    let mut next = None;
    for (base, path) in rest.by_ref() {
        if next.is_some_and(|next| next != base) {
            set_aside(&path, "it does not follow the segment before it")?;
            break;
        }
        let mut segment = Segment::new(folder, base);
        let scan = scan(&mut segment, producers)?;
        next = Some(scan.next);
        loaded.push(segment);
        if let Some(problem) = scan.problem {
            cut(loaded.last_mut(), &problem)?;
            break;
        }
    }
    for (_, path) in rest {
        set_aside(&path, "a segment before it is damaged")?;
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
    /// Offset after the last good batch.
    next: i64,
    /// Why the scan ended before the file did.
    problem: Option<BatchError>,
}

/// Reads batch after batch; memory stays at one batch.
fn scan(segment: &mut Segment, producers: &mut Producers) -> Result<Scan, StorageError> {
    let path = segment.path.clone();
    let file = fs::File::open(&path).map_err(StorageError::at("open", &path))?;
    let length = file.metadata().map_err(StorageError::at("inspect", &path))?.len();
    let mut reader = std::io::BufReader::with_capacity(1 << 20, file);
    let mut next = segment.base;
    while segment.size < length {
        let batch = read_batch(&mut reader, length - segment.size).map_err(StorageError::at("read", &path))?;
        match batch.and_then(|bytes| BatchHeader::check(&bytes)) {
            Ok(header) if header.base_offset == next => {
                segment.note(&header);
                producers.appended(&header);
                next = header.last_offset() + 1;
            }
            Ok(_) => {
                return Ok(Scan {
                    next,
                    problem: Some(BatchError::Inconsistent),
                });
            }
            Err(problem) => {
                return Ok(Scan {
                    next,
                    problem: Some(problem),
                });
            }
        }
    }
    Ok(Scan { next, problem: None })
}

fn read_batch(reader: &mut impl Read, left: u64) -> std::io::Result<Result<Vec<u8>, BatchError>> {
    if left < HEADER_BYTES as u64 {
        return Ok(Err(BatchError::Short));
    }
    let mut bytes = vec![0; HEADER_BYTES];
    reader.read_exact(&mut bytes)?;
    let header = match BatchHeader::parse(&bytes) {
        Ok(header) if header.size as u64 > left => return Ok(Err(BatchError::Short)),
        Ok(header) => header,
        Err(problem) => return Ok(Err(problem)),
    };
    bytes.resize(header.size, 0);
    reader.read_exact(&mut bytes[HEADER_BYTES..])?;
    Ok(Ok(bytes))
}

/// Ends the file after its last good batch.
fn cut(segment: Option<&mut Segment>, problem: &BatchError) -> Result<(), StorageError> {
    let Some(segment) = segment else {
        return Ok(());
    };
    let file = segment.file()?;
    let length = file
        .metadata()
        .map_err(StorageError::at("inspect", &segment.path))?
        .len();
    warn!(
        file = %segment.path.display(), kept_bytes = segment.size, cut_bytes = length - segment.size, %problem,
        "torn tail cut off"
    );
    file.set_len(segment.size)
        .and_then(|()| file.sync_all())
        .map_err(StorageError::at("cut", &segment.path))
}

/// Segments after a damaged one are kept for a person to look at, under a name that is not loaded.
fn set_aside(path: &Path, reason: &str) -> Result<(), StorageError> {
    let aside = path.with_extension("log.cut");
    warn!(file = %path.display(), aside = %aside.display(), reason, "segment set aside");
    fs::rename(path, &aside).map_err(StorageError::at("rename", path))
}
