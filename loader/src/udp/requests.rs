//! The book of a flow as requests: counts, histograms, Little's law and the log.

use super::book::{Book, Packet, State};
use super::packet::NUMBER_BYTES;
use crate::error::ErrorKind;
use crate::log::LogWriter;
use crate::request::Request;
use crate::tally::Tally;

/// Bytes of a packet and of its reply.
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// Of a packet.
    pub out: usize,
    /// Of a right reply.
    pub back: usize,
}

/// Enters all packets of a flow, in the order of their end.
pub fn gather(book: &Book, (thread, bytes): (usize, Bytes), warm_up: bool, tally: &mut Tally, log: &mut LogWriter) {
    let packets = book.packets();
    let mut by_end: Vec<&Packet> = packets.iter().collect();
    by_end.sort_by_key(|packet| packet.done_ns);
    let mut sent = packets.iter().peekable();
    for packet in by_end {
        // Both in the order of time, as Little's law has to see them.
        while sent.next_if(|next| next.sent_ns <= packet.done_ns).is_some_and(|next| {
            tally.sent(next.sent_ns);
            true
        }) {}
        let request = request(packet, thread, bytes, warm_up);
        tally.record(&request);
        log.push(&request);
    }
}

fn request(packet: &Packet, thread: usize, bytes: Bytes, warm_up: bool) -> Request {
    let error = match packet.state {
        State::Answered => None,
        State::Lost | State::Late => Some(ErrorKind::Timeout),
        State::UnderWay => Some(ErrorKind::Cancelled),
        State::Failed(kind) => Some(kind),
    };
    let answered = error.is_none();
    Request {
        intended_ns: packet.intended_ns,
        sent_ns: Some(packet.sent_ns),
        connected_ns: None,
        first_byte_ns: answered.then_some(packet.done_ns),
        done_ns: packet.done_ns,
        label: 0,
        status: 0,
        bytes_in: if answered { bytes.back as u64 } else { 0 },
        bytes_out: bytes.out.max(NUMBER_BYTES) as u64,
        connection: 0,
        thread: u8::try_from(thread).unwrap_or(u8::MAX),
        in_flight: packet.in_flight,
        error,
        warm_up,
    }
}
