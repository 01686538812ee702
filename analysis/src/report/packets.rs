//! Where the packets of a stream were lost, in sentences.

use super::analysis::CellResult;
use super::format::count;
use super::load::RunData;
use protocol::load::{SearchLimit, StreamStats, UdpStats};

/// One sentence or two a cell, over all its trials that count; none where the load was no stream of packets.
pub(super) fn lines(data: &RunData, cells: &[&CellResult]) -> Vec<String> {
    cells
        .iter()
        .filter_map(|cell| {
            let trials: Vec<_> = data
                .of(&cell.cell)
                .filter_map(|trial| trial.record.udp.as_ref())
                .collect();
            (!trials.is_empty()).then(|| format!("{}: {}", cell.cell.platform, sentence(&trials)))
        })
        .collect()
}

fn sentence(trials: &[&UdpStats]) -> String {
    let sum = |of: fn(&StreamStats) -> u64| trials.iter().map(|udp| of(&udp.stream)).sum::<u64>();
    let mut text = format!(
        "{} packets sent, {} lost ({}), {} of them answered late; {} duplicates, {} reordered (the furthest {} packets behind).",
        count(sum(|stream| stream.sent)),
        count(sum(|stream| stream.lost)),
        places(trials),
        count(sum(|stream| stream.late)),
        count(sum(|stream| stream.duplicates)),
        count(sum(|stream| stream.reordered)),
        trials.iter().map(|udp| udp.stream.furthest_behind).max().unwrap_or(0),
    );
    let searches: Vec<_> = trials.iter().filter_map(|udp| udp.search.as_ref()).collect();
    let of = |limit| searches.iter().filter(|search| search.limit == limit).count();
    if !searches.is_empty() {
        text += &format!(
            " The highest rate without loss was bounded by loss in {} of {} trials, by the generator in {}, by the time of the search in {}.",
            of(SearchLimit::Loss),
            searches.len(),
            of(SearchLimit::Generator),
            of(SearchLimit::Time),
        );
    }
    text
}

/// Where packets vanished, as far as both ends counted. What is doubled on the way lowers the number of its way, even below zero.
fn places(trials: &[&UdpStats]) -> String {
    let there: Option<i64> = trials.iter().map(|udp| udp.lost_outbound()).sum();
    let back: Option<i64> = trials.iter().map(|udp| udp.lost_inbound()).sum();
    let service: Option<u64> = trials.iter().map(|udp| udp.service?.dropped).sum();
    let unsent: Option<u64> = trials.iter().map(|udp| Some(udp.service?.unsent)).sum();
    let own: Option<u64> = trials.iter().map(|udp| udp.stream.dropped).sum();
    match (there, back, service, unsent, own) {
        (Some(there), Some(back), Some(service), Some(unsent), Some(own)) => format!(
            "{there} on the way there, {} at the service's sockets, {} as replies it could not send, {back} on the way back, {} at the generator's sockets",
            count(service),
            count(unsent),
            count(own)
        ),
        _ => "where is not known: the service or a kernel does not tell its counters".to_owned(),
    }
}
