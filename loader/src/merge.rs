//! What several machines measured, as one: counts and histograms by addition, nothing averaged that was counted.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use protocol::load::{HostCounters, ServiceCounters, StreamFigures, UdpFigures};

use super::outcome::Outcome;
use protocol::load::Little;

/// Parts of one load as one outcome, whose requests bear threads that count on from part to part. `start` is when they were to begin
/// together. `None`: there is no part.
#[must_use]
pub fn merge(parts: Vec<Outcome>, start: Instant) -> Option<Outcome> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next()?;
    whole.started = start;
    whole.started_unix_ms = unix_ms_at(start);
    whole.started_monotonic_ns = 0;
    parts.for_each(|part| add(&mut whole, part));
    Some(whole)
}

fn add(whole: &mut Outcome, part: Outcome) {
    let window = whole.window.start.min(part.window.start)..whole.window.end.max(part.window.end);
    let length = |range: &std::ops::Range<u64>| range.end.saturating_sub(range.start) as f64;
    whole.little = little(
        [
            (whole.little, length(&whole.window)),
            (part.little, length(&part.window)),
        ],
        length(&window),
    );
    whole.window = window;
    whole.counts.add(&part.counts);
    whole.warm_up.add(&part.warm_up);
    whole.histograms.add(&part.histograms);
    whole
        .requests
        .beside(part.requests, u8::try_from(whole.threads).unwrap_or(u8::MAX));
    whole.usage = whole.usage.plus(part.usage);
    whole.threads += part.threads;
    whole.closed_idle += part.closed_idle;
    whole.left_open += part.left_open;
    whole.cancelled |= part.cancelled;
    whole.udp = whole.udp.take().zip(part.udp).map(|(one, other)| packets(&one, &other));
}

/// Both sides over a common window: what was under way, and what ended, are sums.
fn little(parts: [(Little, f64); 2], window_ns: f64) -> Little {
    let window_ns = window_ns.max(1.0);
    let sum = |of: fn(&Little) -> f64| parts.iter().map(|(law, length)| of(law) * length).sum::<f64>() / window_ns;
    let throughput_per_s = sum(|law| law.throughput_per_s);
    let time = sum(|law| law.throughput_per_s * law.mean_ns);
    Little {
        concurrency: sum(|law| law.concurrency),
        throughput_per_s,
        mean_ns: if throughput_per_s > 0.0 {
            time / throughput_per_s
        } else {
            0.0
        },
    }
}

fn packets(one: &UdpFigures, other: &UdpFigures) -> UdpFigures {
    UdpFigures {
        stream: stream(&one.stream, &other.stream),
        receive_buffer: one.receive_buffer.min(other.receive_buffer),
        host: one.host.zip(other.host).map(|(one, other)| host(one, other)),
        service: one.service.zip(other.service).map(|(one, other)| service(one, other)),
        search: None,
    }
}

fn stream(one: &StreamFigures, other: &StreamFigures) -> StreamFigures {
    StreamFigures {
        sent: one.sent.saturating_add(other.sent),
        received: one.received.saturating_add(other.received),
        lost: one.lost.saturating_add(other.lost),
        late: one.late.saturating_add(other.late),
        unsent: one.unsent.saturating_add(other.unsent),
        duplicates: one.duplicates.saturating_add(other.duplicates),
        reordered: one.reordered.saturating_add(other.reordered),
        furthest_behind: one.furthest_behind.max(other.furthest_behind),
        wrong: one.wrong.saturating_add(other.wrong),
        stray: one.stray.saturating_add(other.stray),
        read: one.read.saturating_add(other.read),
        refused: one.refused.saturating_add(other.refused),
        dropped: one
            .dropped
            .zip(other.dropped)
            .map(|(one, other)| one.saturating_add(other)),
        // They began together.
        total_ns: one.total_ns.max(other.total_ns),
        sending_ns: one.sending_ns.max(other.sending_ns),
    }
}

fn host(one: HostCounters, other: HostCounters) -> HostCounters {
    HostCounters {
        receive_buffer_errors: one.receive_buffer_errors.saturating_add(other.receive_buffer_errors),
        send_buffer_errors: one.send_buffer_errors.saturating_add(other.send_buffer_errors),
        checksum_errors: one.checksum_errors.saturating_add(other.checksum_errors),
        no_ports: one.no_ports.saturating_add(other.no_ports),
    }
}

/// Each asked the one service before any packet of the measured stream, and after its own last: whoever asked last knows all.
fn service(one: ServiceCounters, other: ServiceCounters) -> ServiceCounters {
    ServiceCounters {
        received: one.received.max(other.received),
        answered: one.answered.max(other.answered),
        unsent: one.unsent.max(other.unsent),
        dropped: one.dropped.zip(other.dropped).map(|(one, other)| one.max(other)),
        ..one
    }
}

/// Where an instant lies on the wall clock of this machine, ms since 1970.
fn unix_ms_at(instant: Instant) -> u64 {
    let (now, wall) = (
        Instant::now(),
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    );
    let at = match instant.checked_duration_since(now) {
        Some(later) => wall + later,
        None => wall.saturating_sub(now.duration_since(instant)),
    };
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
