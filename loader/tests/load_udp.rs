//! The engine `udp` against services that lose, double, delay and spoil packets in ways that are known exactly.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loader::{Control, Engine, ErrorKind, Outcome, SearchLimit, Udp, UdpPlan, UdpReply};

#[path = "load_udp/netem.rs"]
mod netem;
#[path = "load_udp/relay.rs"]
mod relay;

/// What a service does with the nth packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answer,
    Swallow,
    Twice,
    /// Answered behind the next three packets.
    Behind,
    /// Answered after so many milliseconds.
    After(u64),
    OneLetterWrong,
    TooShort,
    Nonsense,
}

/// A service in this process that ends with the test.
struct Service {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Service {
    /// `deeds` says what becomes of the nth packet.
    fn start(deeds: impl Fn(u64) -> Deed + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        std::thread::spawn(move || serve(&socket, deeds, &ended));
        Self { address, over }
    }

    fn run(&self, plan: UdpPlan) -> Outcome {
        Udp::new(plan, self.address).unwrap().run(&Control::new()).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn serve(socket: &UdpSocket, deeds: impl Fn(u64) -> Deed, over: &AtomicBool) {
    let mut packet = [0; 2048];
    let mut held: Vec<(u64, Vec<u8>, SocketAddr)> = Vec::new();
    let mut nth = 0;
    while !over.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut packet) else {
            continue;
        };
        if packet.starts_with(b"STAT") {
            continue;
        }
        let mut reply = [&[b'A'; 1000][..], &packet[..length.min(8)]].concat();
        let send = |reply: &[u8]| {
            let _ = socket.send_to(reply, client);
        };
        match deeds(nth) {
            Deed::Answer => send(&reply),
            Deed::Swallow => {}
            Deed::Twice => (0..2).for_each(|_| send(&reply)),
            Deed::Behind => held.push((nth + 3, reply, client)),
            Deed::After(ms) => {
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(ms));
                    let _ = socket.send_to(&reply, client);
                });
            }
            Deed::OneLetterWrong => {
                reply[500] = b'B';
                send(&reply);
            }
            Deed::TooShort => send(&reply[1..]),
            Deed::Nonsense => send(b"this is no reply"),
        }
        held.retain(|(due, reply, client)| {
            let waits = *due > nth;
            if !waits {
                let _ = socket.send_to(reply, client);
            }
            waits
        });
        nth += 1;
    }
}

/// A closed loop that a busy machine cannot disturb: the time-out is far away.
fn plan(packets: u64) -> UdpPlan {
    UdpPlan {
        window: Some(16),
        timeout: Duration::from_secs(20),
        ..UdpPlan::new(packets)
    }
}

#[test]
fn every_packet_is_sent_and_answered_once() {
    let service = Service::start(|_| Deed::Answer);
    let outcome = service.run(UdpPlan {
        warm_up: Duration::from_millis(10),
        ..plan(5000)
    });
    let figures = outcome.udp.unwrap();
    let stream = figures.stream;
    assert_eq!((stream.sent, stream.received, stream.lost), (5000, 5000, 0));
    assert_eq!(
        (stream.duplicates, stream.reordered, stream.wrong, stream.stray),
        (0, 0, 0, 0)
    );
    assert_eq!((stream.read, stream.dropped, stream.refused), (5000, Some(0), 0));
    assert_eq!((outcome.counts.due, outcome.counts.succeeded), (5000, 5000));
    assert_eq!(outcome.warm_up.succeeded, 500);
    assert_eq!(outcome.requests.read().unwrap().count(), 5500);
    assert_eq!(outcome.histograms.response.len(), 5000);
    assert_eq!(
        (outcome.counts.bytes_in, outcome.counts.bytes_out),
        (5000 * 1008, 5000 * 8)
    );
    let law = outcome.little.ratio();
    assert!((law - 1.0).abs() < 0.01, "{law}");
    assert!(outcome.little.concurrency <= 16.0);
    assert!(stream.total_ns <= outcome.window.end - outcome.window.start);
    assert!(figures.receive_buffer > 0 && figures.service.is_none() && figures.search.is_none());
}

#[test]
fn several_threads_share_a_stream() {
    let service = Service::start(|_| Deed::Answer);
    let outcome = service.run(UdpPlan {
        cpus: vec![0, 0, 0],
        ..plan(1000)
    });
    let stream = outcome.udp.unwrap().stream;
    assert_eq!((stream.sent, stream.received, stream.reordered), (1000, 1000, 0));
    assert_eq!((outcome.threads, outcome.requests.read().unwrap().count()), (3, 1000));
}

#[test]
fn what_went_wrong_on_the_way_is_counted_exactly() {
    let service = Service::start(|nth| match nth % 100 {
        10 => Deed::Twice,
        20 => Deed::Behind,
        40 => Deed::OneLetterWrong,
        50 => Deed::TooShort,
        _ => Deed::Answer,
    });
    // One packet under way in front of the service at any time, so that what it sees is in order.
    let outcome = service.run(plan(2000));
    let stream = outcome.udp.as_ref().unwrap().stream;
    assert_eq!((stream.sent, stream.received, stream.lost), (2000, 1960, 0));
    assert_eq!((stream.duplicates, stream.wrong), (20, 40));
    assert_eq!((stream.reordered, stream.furthest_behind), (20, 3));
    assert_eq!(stream.read, 2020);
    assert_eq!(outcome.counts.of(ErrorKind::WrongBody), 40);
    assert_eq!(outcome.counts.succeeded, 1960);
}

#[test]
fn what_is_swallowed_is_lost_and_nothing_else() {
    let service = Service::start(|nth| match nth % 500 {
        100 => Deed::Swallow,
        200 => Deed::Nonsense,
        _ => Deed::Answer,
    });
    let outcome = service.run(UdpPlan {
        timeout: Duration::from_secs(2),
        ..plan(2000)
    });
    let stream = outcome.udp.as_ref().unwrap().stream;
    assert_eq!((stream.sent, stream.received, stream.lost), (2000, 1992, 8));
    assert_eq!((stream.late, stream.stray, stream.duplicates), (0, 4, 0));
    assert_eq!(outcome.counts.of(ErrorKind::Timeout), 8);
}

#[test]
fn a_reply_behind_its_time_out_is_late_and_its_packet_lost() {
    let service = Service::start(|nth| match nth {
        100 => Deed::After(1500),
        // The last keeps the stream open until the late one is there.
        1999 => Deed::Swallow,
        _ => Deed::Answer,
    });
    // The last packet is sent when the first time-out frees its place: a window of one.
    let outcome = service.run(UdpPlan {
        window: Some(1),
        timeout: Duration::from_secs(1),
        ..plan(2000)
    });
    let stream = outcome.udp.unwrap().stream;
    assert_eq!((stream.received, stream.lost, stream.late), (1998, 2, 1));
    assert_eq!(stream.reordered, 1);
}

#[test]
fn an_open_loop_sends_at_its_pace_whatever_comes_back() {
    let service = Service::start(|nth| if nth < 50 { Deed::Swallow } else { Deed::Answer });
    let outcome = service.run(UdpPlan {
        window: None,
        pace: Duration::from_micros(500),
        timeout: Duration::from_secs(3),
        ..plan(400)
    });
    let stream = outcome.udp.as_ref().unwrap().stream;
    assert_eq!((stream.sent, stream.received, stream.lost), (400, 350, 50));
    let requests: Vec<_> = outcome.requests.read().unwrap().map(Result::unwrap).collect();
    let mut due: Vec<_> = requests.iter().map(|request| request.intended_ns).collect();
    due.sort_unstable();
    assert!(due.windows(2).all(|pair| pair[1] - pair[0] == 500_000));
    assert!(
        requests
            .iter()
            .all(|request| request.sent_ns.unwrap() >= request.intended_ns)
    );
}

#[test]
fn an_echo_is_checked_as_such() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        for nth in 0..200_u64 {
            let (length, client) = socket.recv_from(&mut packet).unwrap();
            // The questions for counters come back, too; they are no answers.
            packet[100] = u8::from(nth == 150);
            socket.send_to(&packet[..length], client).unwrap();
        }
    });
    let plan = UdpPlan {
        size: 500,
        reply: UdpReply::Echo,
        window: Some(1),
        timeout: Duration::from_secs(20),
        ..UdpPlan::new(190)
    };
    let outcome = Udp::new(plan, address).unwrap().run(&Control::new()).unwrap();
    let figures = outcome.udp.unwrap();
    assert_eq!((figures.stream.received, figures.stream.wrong), (189, 1));
    assert!(figures.service.is_none());
}

#[test]
fn nobody_at_the_address_is_loss_with_its_reason() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plan = UdpPlan {
        timeout: Duration::from_millis(200),
        ..plan(100)
    };
    let outcome = Udp::new(plan, address).unwrap().run(&Control::new()).unwrap();
    let stream = outcome.udp.unwrap().stream;
    assert_eq!((stream.received, stream.lost + stream.unsent), (0, 100));
    assert!(stream.refused > 0);
}

#[test]
fn a_cancelled_stream_ends_soon_with_what_was_measured() {
    let service = Service::start(|nth| if nth % 2 == 0 { Deed::Answer } else { Deed::Swallow });
    let control = Arc::new(Control::new());
    let (engine, watched) = (Udp::new(plan(1000), service.address).unwrap(), Arc::clone(&control));
    let load = std::thread::spawn(move || engine.run(&watched).unwrap());
    while control.progress().succeeded < 5 {
        std::thread::sleep(Duration::from_millis(1));
    }
    control.cancel();
    let outcome = load.join().unwrap();
    assert!(outcome.cancelled && outcome.counts.succeeded >= 5);
    assert_eq!(
        outcome.counts.of(ErrorKind::Cancelled),
        outcome.counts.due - outcome.counts.succeeded
    );
}

#[test]
fn a_search_finds_a_pace_or_says_that_its_time_was_over() {
    let service = Service::start(|_| Deed::Answer);
    let outcome = service.run(UdpPlan {
        // It ends as soon as it has found a pace; a busy machine, which loses packets now and then, only makes it try again.
        search: Some(Duration::from_secs(600)),
        pace: Duration::from_micros(200),
        ..plan(300)
    });
    let search = outcome.udp.unwrap().search.unwrap();
    assert!(search.limit != SearchLimit::Time, "{search:?}");
    assert!(search.pace_ns.is_some_and(|pace| pace < 10_000_000), "{search:?}");
    let last = search.steps.last().unwrap();
    assert_eq!((last.sent, last.lost, Some(last.pace_ns)), (300, 0, search.pace_ns));

    let silent = Service::start(|_| Deed::Swallow);
    let outcome = silent.run(UdpPlan {
        search: Some(Duration::from_millis(500)),
        timeout: Duration::from_millis(200),
        ..plan(10)
    });
    let search = outcome.udp.unwrap().search.unwrap();
    assert_eq!((search.pace_ns, search.limit), (None, SearchLimit::Time));
}
