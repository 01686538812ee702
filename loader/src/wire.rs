//! Conversion of outcomes to FIRED and CHUNK, and back.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use protocol::load::{self as wire, Fired};

use crate::jung::reply::Commanded;
use crate::latency;
use crate::{Counts, ErrorKind, Label, Outcome, RequestLog};

/// Number of chunks of each stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Chunks of requests.
    pub requests: u64,
    /// Chunks of accepted commands.
    pub accepted: u64,
}

/// Converts an outcome, without its requests, to FIRED.
///
/// # Errors
/// The histograms cannot be encoded; does not occur with those of an engine.
pub fn to_fired(outcome: &Outcome, requests: u64, chunks: Chunks) -> Result<Fired, String> {
    let length = outcome.window.end.saturating_sub(outcome.window.start);
    let histograms = latency::to_log(&outcome.histograms, Duration::from_nanos(length))?;
    let label = |label: &Label| wire::RequestLabel {
        name: label.name.clone(),
        url: label.url.clone(),
    };
    Ok(Fired {
        labels: outcome.labels.iter().map(label).collect(),
        window: tally(&outcome.counts),
        warm_up: tally(&outcome.warm_up),
        histograms: String::from_utf8(histograms).map_err(|error| error.to_string())?,
        start_clock_ns: outcome.started_monotonic_ns,
        window_start_ns: outcome.window.start,
        window_end_ns: outcome.window.end,
        little: outcome.little,
        usage: outcome.usage,
        threads: u32::try_from(outcome.threads).unwrap_or(u32::MAX),
        closed_idle: outcome.closed_idle,
        left_open: outcome.left_open,
        udp: outcome.udp.clone(),
        tls: outcome.tls.clone(),
        request_chunks: chunks.requests,
        requests,
        accepted_chunks: chunks.accepted,
    })
}

/// Converts FIRED to an outcome. The start times are not meaningful, since a loader has another clock.
///
/// # Errors
/// The invalid part.
pub fn from_fired(fired: &Fired, requests: RequestLog) -> Result<Outcome, String> {
    Ok(Outcome {
        labels: fired.labels.iter().map(label).collect(),
        requests,
        counts: counts(&fired.window)?,
        warm_up: counts(&fired.warm_up)?,
        histograms: latency::from_log(fired.histograms.as_bytes())?,
        started: Instant::now(),
        started_monotonic_ns: 0,
        started_unix_ms: 0,
        window: window(fired)?,
        little: fired.little,
        usage: fired.usage,
        threads: usize::try_from(fired.threads).unwrap_or(usize::MAX),
        closed_idle: fired.closed_idle,
        left_open: fired.left_open,
        ramp: None,
        external: None,
        cancelled: false,
        udp: fired.udp.clone(),
        tls: fired.tls.clone(),
    })
}

fn window(fired: &Fired) -> Result<std::ops::Range<u64>, String> {
    let (start, end) = (fired.window_start_ns, fired.window_end_ns);
    if start > end {
        return Err(format!("invalid window: from {start} to {end} ns"));
    }
    Ok(start..end)
}

fn label(label: &wire::RequestLabel) -> Label {
    Label {
        name: label.name.clone(),
        url: label.url.clone(),
    }
}

fn tally(counts: &Counts) -> wire::Tally {
    wire::Tally {
        due: counts.due,
        sent: counts.sent,
        succeeded: counts.succeeded,
        failed: counts.errors().map(|(kind, n)| (kind.name().to_owned(), n)).collect(),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
    }
}

/// Maximum plausible count of requests or bytes; sums of such counts do not overflow.
const MAX_COUNT: u64 = 1 << 56;

fn counts(tally: &wire::Tally) -> Result<Counts, String> {
    let plain = [tally.due, tally.sent, tally.succeeded, tally.bytes_in, tally.bytes_out];
    if plain
        .iter()
        .chain(tally.failed.values())
        .any(|&count| count > MAX_COUNT)
    {
        return Err(format!("a count exceeds {MAX_COUNT}"));
    }
    let mut counts = Counts::default();
    (counts.due, counts.sent, counts.succeeded) = (tally.due, tally.sent, tally.succeeded);
    (counts.bytes_in, counts.bytes_out) = (tally.bytes_in, tally.bytes_out);
    for (kind, &count) in &tally.failed {
        let known = ErrorKind::from_name(kind).ok_or_else(|| format!("unknown error kind {kind:?}"))?;
        counts.fail(known, count);
    }
    Ok(counts)
}

/// Requests per chunk: 0.5 MiB, which is below the message limit even if it cannot be compressed.
pub const REQUESTS: usize = 8192;

/// Accepted commands per chunk.
pub const COMMANDS: usize = 4096;

/// Maximum uncompressed size of a chunk, bytes.
const MAX_CHUNK: u64 = 1 << 20;

/// Compresses and encodes a chunk. Optimized for speed, since a lab's network is faster than zlib.
///
/// # Errors
/// The library's error; does not occur in memory.
pub fn pack(bytes: &[u8]) -> std::io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(STANDARD.encode(encoder.finish()?))
}

/// Decodes and decompresses a chunk.
///
/// # Errors
/// The problem as text.
pub fn unpack(text: &str) -> Result<Vec<u8>, String> {
    let packed = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut decoder = ZlibDecoder::new(packed.as_slice()).take(MAX_CHUNK + 1);
    decoder.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_CHUNK {
        return Err(format!("larger than {MAX_CHUNK} bytes"));
    }
    Ok(bytes)
}

/// Encodes accepted commands as JSON lines.
///
/// # Errors
/// The library's error; does not occur.
pub fn commands_to_lines(commands: &[Commanded]) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for command in commands {
        serde_json::to_writer(&mut lines, command)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Decodes accepted commands from JSON lines.
///
/// # Errors
/// An invalid line.
pub fn commands_from_lines(bytes: &[u8]) -> serde_json::Result<Vec<Commanded>> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(serde_json::from_slice).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{Control, Engine as _, Idle, Scheduling};

    fn example() -> Outcome {
        let mut outcome = Idle::new(Duration::from_millis(1)).run(&Control::new()).unwrap();
        outcome.labels = vec![Label {
            name: "a".into(),
            url: "http://x/".into(),
        }];
        outcome.counts.due = 3;
        outcome.counts.succeeded = 1;
        outcome.counts.fail(ErrorKind::Timeout, 2);
        outcome.histograms.response.record(77).unwrap();
        outcome.window = 5..17;
        (outcome.threads, outcome.left_open) = (2, 4);
        outcome.usage.busiest_ppm = 9;
        outcome.usage.scheduling = Some(Scheduling::GaveUp);
        outcome
    }

    #[test]
    fn outcomes_round_trip() {
        let whole = example();
        let fired = to_fired(&whole, 0, Chunks::default()).unwrap();
        let back = from_fired(&fired, RequestLog::default()).unwrap();
        assert_eq!((&back.counts, &back.histograms), (&whole.counts, &whole.histograms));
        assert_eq!((&back.window, back.threads), (&whole.window, whole.threads));
        assert_eq!((back.usage, back.left_open), (whole.usage, whole.left_open));
        assert_eq!(back.labels, whole.labels);
    }

    #[test]
    fn invalid_results_are_refused() {
        let good = to_fired(&example(), 0, Chunks::default()).unwrap();
        let mut unknown = good.clone();
        unknown.window.failed.insert("moonshine".into(), 1);
        assert!(
            from_fired(&unknown, RequestLog::default())
                .unwrap_err()
                .contains("moonshine")
        );
        let mut excessive = good.clone();
        excessive.warm_up.due = u64::MAX;
        assert!(
            from_fired(&excessive, RequestLog::default())
                .unwrap_err()
                .contains("exceeds")
        );
        let mut backwards = good.clone();
        backwards.window_start_ns = 18;
        assert!(
            from_fired(&backwards, RequestLog::default())
                .unwrap_err()
                .contains("window")
        );
        let cut = Fired {
            histograms: String::new(),
            ..good
        };
        assert!(
            from_fired(&cut, RequestLog::default())
                .unwrap_err()
                .contains("histogram")
        );
    }

    proptest! {
        #[test]
        fn chunks_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(unpack(&pack(&bytes).unwrap()).unwrap(), bytes);
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in ".{0,200}") {
            drop(unpack(&text));
        }

        #[test]
        fn commands_round_trip(ids in prop::collection::vec(any::<u128>(), 0..20)) {
            let commands: Vec<_> = ids.iter().map(|&id| Commanded { command: Uuid::from_u128(id), device: format!("device-{id}") }).collect();
            let lines = commands_to_lines(&commands).unwrap();
            prop_assert_eq!(commands_from_lines(&lines).unwrap(), commands);
        }
    }

    #[test]
    fn the_largest_chunk_fits_in_a_message_and_larger_ones_are_refused() {
        use rand::RngExt;
        let mut random = rand::rng();
        let bytes: Vec<u8> = (0..REQUESTS * 64).map(|_| random.random()).collect();
        assert!(pack(&bytes).unwrap().len() < protocol::envelope::MAX_BYTES - 10_000);
        let bomb = pack(&vec![0; usize::try_from(MAX_CHUNK).unwrap() + 1]).unwrap();
        assert!(unpack(&bomb).unwrap_err().contains("larger than"));
    }
}
