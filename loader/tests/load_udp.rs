//! The engine `udp` against services that lose, duplicate, delay and corrupt packets in a known way.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loader::{Control, Engine, ErrorKind, Outcome, SearchLimit, Udp, UdpPlan, UdpReply};

#[path = "load_udp/netem.rs"]
mod netem;
#[path = "load_udp/relay.rs"]
mod relay;

/// What a service does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behavior {
    Answer,
    Drop,
    Duplicate,
    /// Answers after the next three packets.
    Reorder,
    /// Answers after this many ms.
    Delay(u64),
    Corrupt,
    Truncate,
    Stray,
}

/// A service in this process that ends with the test.
struct Service {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Service {
    /// `behavior` of the nth packet.
    fn start(behavior: impl Fn(u64) -> Behavior + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        std::thread::spawn(move || serve(&socket, behavior, &flag));
        Self { address, stopped }
    }

    fn run(&self, plan: UdpPlan) -> Outcome {
        Udp::new(plan, self.address).unwrap().run(&Control::new()).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn serve(socket: &UdpSocket, behavior: impl Fn(u64) -> Behavior, stopped: &AtomicBool) {
    let mut packet = [0; 2048];
    let mut held: Vec<(u64, Vec<u8>, SocketAddr)> = Vec::new();
    let mut nth = 0;
    while !stopped.load(Ordering::Relaxed) {
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
        match behavior(nth) {
            Behavior::Answer => send(&reply),
            Behavior::Drop => {}
            Behavior::Duplicate => (0..2).for_each(|_| send(&reply)),
            Behavior::Reorder => held.push((nth + 3, reply, client)),
            Behavior::Delay(ms) => {
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(ms));
                    let _ = socket.send_to(&reply, client);
                });
            }
            Behavior::Corrupt => {
                reply[500] = b'B';
                send(&reply);
            }
            Behavior::Truncate => send(&reply[1..]),
            Behavior::Stray => send(b"not a reply"),
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

/// A closed loop with a time-out that is long enough for a busy machine.
fn plan(packets: u64) -> UdpPlan {
    UdpPlan {
        window: Some(16),
        timeout: Duration::from_secs(20),
        ..UdpPlan::new(packets)
    }
}

#[test]
fn every_packet_is_sent_and_answered_once() {
    let service = Service::start(|_| Behavior::Answer);
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
fn a_stream_is_split_over_threads() {
    let service = Service::start(|_| Behavior::Answer);
    let outcome = service.run(UdpPlan {
        cpus: vec![0, 0, 0],
        ..plan(1000)
    });
    let stream = outcome.udp.unwrap().stream;
    assert_eq!((stream.sent, stream.received, stream.reordered), (1000, 1000, 0));
    assert_eq!((outcome.threads, outcome.requests.read().unwrap().count()), (3, 1000));
}

#[test]
fn anomalies_are_counted_exactly() {
    let service = Service::start(|nth| match nth % 100 {
        10 => Behavior::Duplicate,
        20 => Behavior::Reorder,
        40 => Behavior::Corrupt,
        50 => Behavior::Truncate,
        _ => Behavior::Answer,
    });
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
fn only_unanswered_packets_are_lost() {
    let service = Service::start(|nth| match nth % 500 {
        100 => Behavior::Drop,
        200 => Behavior::Stray,
        _ => Behavior::Answer,
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
fn a_packet_answered_after_its_timeout_is_lost_and_late() {
    let service = Service::start(|nth| match nth {
        100 => Behavior::Delay(1500),
        // The last packet keeps the stream open until the late reply arrives.
        1999 => Behavior::Drop,
        _ => Behavior::Answer,
    });
    // With a window of one, the last packet is sent after the first time-out.
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
fn an_open_loop_keeps_its_pace_regardless_of_replies() {
    let service = Service::start(|nth| if nth < 50 { Behavior::Drop } else { Behavior::Answer });
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
fn echo_replies_are_checked() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        for nth in 0..200_u64 {
            let (length, client) = socket.recv_from(&mut packet).unwrap();
            // Queries of counters are echoed, too, which is not a valid reply.
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
fn a_closed_port_is_counted_as_loss_and_refusals() {
    let address = SocketAddr::from(([127, 0, 0, 1], testkit::free_port()));
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
fn cancellation_ends_the_stream_with_the_results_so_far() {
    let service = Service::start(|nth| if nth % 2 == 0 { Behavior::Answer } else { Behavior::Drop });
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
fn a_search_finds_a_pace_or_reports_that_its_time_ran_out() {
    let service = Service::start(|_| Behavior::Answer);
    let outcome = service.run(UdpPlan {
        // It ends when it has found a pace; losses on a busy machine only prolong it.
        search: Some(Duration::from_secs(600)),
        pace: Duration::from_micros(200),
        // Every pace that is too fast costs a time-out.
        timeout: Duration::from_secs(1),
        ..plan(300)
    });
    let search = outcome.udp.unwrap().search.unwrap();
    assert!(search.limit != SearchLimit::Time, "{search:?}");
    assert!(search.pace_ns.is_some_and(|pace| pace < 10_000_000), "{search:?}");
    let last = search.steps.last().unwrap();
    assert_eq!((last.sent, last.lost, Some(last.pace_ns)), (300, 0, search.pace_ns));

    let silent = Service::start(|_| Behavior::Drop);
    let outcome = silent.run(UdpPlan {
        search: Some(Duration::from_millis(500)),
        timeout: Duration::from_millis(200),
        ..plan(10)
    });
    let search = outcome.udp.unwrap().search.unwrap();
    assert_eq!((search.pace_ns, search.limit), (None, SearchLimit::Time));
}
