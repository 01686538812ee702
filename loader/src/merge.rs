//! Merges the outcomes of several machines: counts and histograms are added, never averaged.

use std::ops::Range;
use std::time::Instant;

use protocol::load::{HostCounters, Little, ServiceCounters, StreamStats, UdpStats};

use super::outcome::{Origin, Outcome};

/// Merges the parts of one load; thread numbers continue from part to part. `start` is the common start time. `None`: there are no parts.
#[must_use]
pub fn merge(parts: Vec<Outcome>, start: Instant) -> Option<Outcome> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next()?;
    whole.started = start;
    whole.started_unix_ms = Origin::at_instant(start).unix_ms();
    whole.started_monotonic_ns = 0;
    parts.for_each(|part| add(&mut whole, part));
    Some(whole)
}

fn add(whole: &mut Outcome, part: Outcome) {
    let window = whole.window.start.min(part.window.start)..whole.window.end.max(part.window.end);
    let length = |range: &Range<u64>| range.end.saturating_sub(range.start) as f64;
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
        .add_machine(part.requests, u8::try_from(whole.threads).unwrap_or(u8::MAX));
    whole.usage = whole.usage.plus(part.usage);
    whole.threads += part.threads;
    whole.closed_idle += part.closed_idle;
    whole.left_open += part.left_open;
    whole.cancelled |= part.cancelled;
    if let (Some(all), Some(part)) = (&mut whole.tls, &part.tls) {
        all.add(part);
    }
    whole.udp = whole.udp.take().zip(part.udp).map(|(a, b)| packets(&a, &b));
}

/// Little's law over a common window: the integrals and the completed requests are added.
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

fn packets(a: &UdpStats, b: &UdpStats) -> UdpStats {
    UdpStats {
        stream: stream(&a.stream, &b.stream),
        receive_buffer: a.receive_buffer.min(b.receive_buffer),
        host: a.host.zip(b.host).map(|(a, b)| host(a, b)),
        service: a.service.zip(b.service).map(|(a, b)| service(a, b)),
        search: None,
    }
}

fn stream(a: &StreamStats, b: &StreamStats) -> StreamStats {
    StreamStats {
        sent: a.sent.saturating_add(b.sent),
        received: a.received.saturating_add(b.received),
        lost: a.lost.saturating_add(b.lost),
        late: a.late.saturating_add(b.late),
        unsent: a.unsent.saturating_add(b.unsent),
        duplicates: a.duplicates.saturating_add(b.duplicates),
        reordered: a.reordered.saturating_add(b.reordered),
        furthest_behind: a.furthest_behind.max(b.furthest_behind),
        wrong: a.wrong.saturating_add(b.wrong),
        stray: a.stray.saturating_add(b.stray),
        read: a.read.saturating_add(b.read),
        refused: a.refused.saturating_add(b.refused),
        dropped: a.dropped.zip(b.dropped).map(|(a, b)| a.saturating_add(b)),
        // The parts start at the same time.
        total_ns: a.total_ns.max(b.total_ns),
        sending_ns: a.sending_ns.max(b.sending_ns),
    }
}

fn host(a: HostCounters, b: HostCounters) -> HostCounters {
    HostCounters {
        receive_buffer_errors: a.receive_buffer_errors.saturating_add(b.receive_buffer_errors),
        send_buffer_errors: a.send_buffer_errors.saturating_add(b.send_buffer_errors),
        checksum_errors: a.checksum_errors.saturating_add(b.checksum_errors),
        no_ports: a.no_ports.saturating_add(b.no_ports),
    }
}

/// All machines query the same service before the measured stream and after their last packet, so the last query includes all packets.
fn service(a: ServiceCounters, b: ServiceCounters) -> ServiceCounters {
    ServiceCounters {
        received: a.received.max(b.received),
        answered: a.answered.max(b.answered),
        unsent: a.unsent.max(b.unsent),
        dropped: a.dropped.zip(b.dropped).map(|(a, b)| a.max(b)),
        ..a
    }
}

#[cfg(test)]
mod tests;
