//! `samples.csv`: the raw counters of the runner as they arrived, one row a sample.
//!
//! `batch` the batch it came in; `offset_ns` ns after READY on the runner's monotonic clock; `service`; `pid` and `start_ticks`, which
//! together name a process; `user_ticks`, `system_ticks` clock ticks so far; `cpu_ns` ns on a CPU so far, empty where the kernel does not
//! tell; `rss_bytes` resident memory.

use std::path::Path;

use protocol::sample::{Sample, Samples};
use serde::{Deserialize, Serialize};

use super::error::{At, StoreError};

/// One row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    batch: u64,
    offset_ns: u64,
    service: String,
    pid: u32,
    start_ticks: u64,
    user_ticks: u64,
    system_ticks: u64,
    cpu_ns: Option<u64>,
    rss_bytes: u64,
}

/// The columns, for a file without samples.
const COLUMNS: [&str; 9] = [
    "batch",
    "offset_ns",
    "service",
    "pid",
    "start_ticks",
    "user_ticks",
    "system_ticks",
    "cpu_ns",
    "rss_bytes",
];

/// The file's bytes.
///
/// # Errors
/// The library's, in words; it does not happen in memory.
pub fn to_csv(batches: &[Samples]) -> Result<Vec<u8>, String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|e| e.to_string())?;
    for batch in batches {
        for sample in &batch.samples {
            writer
                .serialize(Row {
                    batch: batch.batch,
                    offset_ns: sample.offset_ns,
                    service: sample.service.to_string(),
                    pid: sample.pid,
                    start_ticks: sample.start_ticks,
                    user_ticks: sample.user_ticks,
                    system_ticks: sample.system_ticks,
                    cpu_ns: sample.cpu_ns,
                    rss_bytes: sample.rss_bytes,
                })
                .map_err(|e| e.to_string())?;
        }
    }
    writer.into_inner().map_err(|e| e.to_string())
}

/// Reads `samples.csv`; the batches are not restored.
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Malformed`] with the line.
pub fn read(path: &Path) -> Result<Vec<Sample>, StoreError> {
    let bad = |line: u64, why: String| StoreError::malformed(path, line, why);
    let bytes = std::fs::read(path).at(path, "read")?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    if reader.headers().map_err(|e| bad(1, e.to_string()))? != COLUMNS[..] {
        return Err(bad(1, "the header is not the one that Jung writes".to_owned()));
    }
    let rows = reader.deserialize::<Row>().enumerate();
    rows.map(|(i, row)| {
        let line = i as u64 + 2;
        let row = row.map_err(|e| bad(line, e.to_string()))?;
        Ok(Sample {
            offset_ns: row.offset_ns,
            service: row.service.parse().map_err(|e| bad(line, format!("{e}")))?,
            pid: row.pid,
            start_ticks: row.start_ticks,
            user_ticks: row.user_ticks,
            system_ticks: row.system_ticks,
            cpu_ns: row.cpu_ns,
            rss_bytes: row.rss_bytes,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_the_round_trip() {
        let sample = |offset_ns, cpu_ns| Sample {
            offset_ns,
            service: "tcp".parse().unwrap(),
            pid: 7,
            start_ticks: 99,
            user_ticks: 1,
            system_ticks: 2,
            cpu_ns,
            rss_bytes: 4096,
        };
        let samples = vec![sample(0, Some(5)), sample(1_000_000_000, None)];
        let batch = Samples {
            batch: 3,
            samples: samples.clone(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.csv");
        for (batches, expected) in [(vec![batch], samples), (vec![], vec![])] {
            std::fs::write(&path, to_csv(&batches).unwrap()).unwrap();
            assert_eq!(read(&path).unwrap(), expected);
        }
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("samples.csv:1:"));
    }
}
