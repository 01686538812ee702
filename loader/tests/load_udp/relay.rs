//! The engine's statistics with a relay in front of the workload that randomly drops, duplicates and reorders packets in both directions. The relay records
//! what it forwards, so the statistics must agree exactly, on any kernel; with `netem` they can only be tested statistically.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loader::{Control, Engine, Udp, UdpPlan, UdpStats};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workloads::shutdown::{Shutdown, Trigger};

const PACKETS: u64 = 5000;
/// An idle relay forwards delayed packets after this time.
const IDLE: Duration = Duration::from_millis(20);

/// Probabilities of anomalies in each direction.
#[derive(Clone, Copy, Debug, Default)]
struct Anomalies {
    lost: f64,
    duplicated: f64,
    reordered: f64,
}

/// The counts of the forwarded packets in order, in each direction.
#[derive(Debug)]
struct Forwarded {
    outbound: Vec<u64>,
    inbound: Vec<u64>,
}

/// One direction of the relay.
struct Direction<'a> {
    from: &'a UdpSocket,
    anomalies: Anomalies,
    random: ChaCha8Rng,
    forwarded: Vec<u64>,
    /// Delayed packets, each with the number of packets to be forwarded before it.
    delayed: Vec<(u32, Vec<u8>)>,
}

impl Direction<'_> {
    /// Forwards packets until it is stopped. `count` reads the count of a packet, `send` forwards it, and `note` returns whether it belongs to the stream.
    fn run(
        mut self,
        stopped: &AtomicBool,
        count: impl Fn(&[u8]) -> u64,
        send: impl Fn(&[u8]),
        note: impl Fn(&[u8], SocketAddr) -> bool,
    ) -> Vec<u64> {
        let mut buffer = [0; 2048];
        self.from.set_read_timeout(Some(IDLE)).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            let Ok((length, sender)) = self.from.recv_from(&mut buffer) else {
                self.delayed.iter_mut().for_each(|(behind, _)| *behind = 0);
                self.release(&count, &send);
                continue;
            };
            let packet = &buffer[..length];
            if !note(packet, sender) {
                send(packet);
            } else if self.random.random_bool(self.anomalies.reordered) {
                self.delayed.push((self.random.random_range(1..20), packet.to_vec()));
            } else if !self.random.random_bool(self.anomalies.lost) {
                let times = 1 + usize::from(self.random.random_bool(self.anomalies.duplicated));
                (0..times).for_each(|_| self.forward(packet, &count, &send));
                self.release(&count, &send);
            }
        }
        self.forwarded
    }

    fn forward(&mut self, packet: &[u8], count: &impl Fn(&[u8]) -> u64, send: &impl Fn(&[u8])) {
        self.forwarded.push(count(packet));
        send(packet);
    }

    /// Forwards delayed packets that enough packets have overtaken.
    fn release(&mut self, count: &impl Fn(&[u8]) -> u64, send: &impl Fn(&[u8])) {
        let mut delayed = std::mem::take(&mut self.delayed);
        delayed.retain_mut(|(behind, packet)| {
            let waits = *behind > 0;
            if waits {
                *behind -= 1;
            } else {
                self.forward(packet, count, send);
            }
            waits
        });
        self.delayed = delayed;
    }
}

/// Stops relay and service when dropped, also on a panic.
struct Stop<'a>(&'a AtomicBool, Trigger);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.fire().unwrap();
    }
}

/// Runs the engine through a relay to the workload.
fn run(anomalies: Anomalies, seed: u64) -> (UdpStats, Forwarded) {
    let options = workloads::udp::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        reply_bytes: 1000,
        echo: false,
        sockets: 1,
        batch: 32,
        receive_buffer: None,
    };
    let sockets = workloads::listen::udp(options.listen, 1, None).unwrap();
    let service = sockets[0].local_addr().unwrap();
    let (shutdown, trigger) = Shutdown::by_hand().unwrap();
    let (front, back) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    back.connect(service).unwrap();
    let (stopped, query_client, stream_client) = (AtomicBool::new(false), Mutex::new(None), Mutex::new(None));
    let direction = |from, stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Direction {
            from,
            anomalies,
            random,
            forwarded: Vec::new(),
            delayed: Vec::new(),
        }
    };
    let is_query = |packet: &[u8]| packet.starts_with(b"STAT");
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap()) & ((1 << 48) - 1);
    let stop = Stop(&stopped, trigger);
    std::thread::scope(|scope| {
        scope.spawn(|| workloads::udp::serve(&sockets, &options, &shutdown).unwrap());
        let outbound = scope.spawn(|| {
            let note = |packet: &[u8], sender| {
                let client = if is_query(packet) {
                    &query_client
                } else {
                    &stream_client
                };
                *client.lock().unwrap() = Some(sender);
                !is_query(packet)
            };
            let send = |packet: &[u8]| drop(back.send(packet));
            direction(&front, 0).run(&stopped, |packet| number(&packet[..8]), send, note)
        });
        let inbound = scope.spawn(|| {
            let send = |packet: &[u8]| {
                let client = if is_query(packet) {
                    &query_client
                } else {
                    &stream_client
                };
                let client = client.lock().unwrap().unwrap();
                drop(front.send_to(packet, client));
            };
            let count = |packet: &[u8]| number(&packet[packet.len() - 8..]);
            direction(&back, 1).run(&stopped, count, send, |packet, _| !is_query(packet))
        });
        // The window is small enough that no socket buffer can overflow. A lost packet occupies its place until the time-out.
        let plan = UdpPlan {
            window: Some(64),
            timeout: Duration::from_secs(if anomalies.lost > 0.0 { 1 } else { 20 }),
            ..UdpPlan::new(PACKETS)
        };
        let outcome = Udp::new(plan, front.local_addr().unwrap())
            .unwrap()
            .run(&Control::new())
            .unwrap();
        drop(stop);
        let forwarded = Forwarded {
            outbound: outbound.join().unwrap(),
            inbound: inbound.join().unwrap(),
        };
        (outcome.udp.unwrap(), forwarded)
    })
}

/// Statistics of the packets that the relay forwarded to the engine, as defined in `docs/metrics.md`.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    answered: u64,
    duplicates: u64,
    reordered: u64,
    furthest_behind: u64,
}

impl Expected {
    fn of(order: &[u64]) -> Self {
        let firsts: Vec<u64> = (0..order.len())
            .filter(|&at| !order[..at].contains(&order[at]))
            .map(|at| order[at])
            .collect();
        // The reordering extent of each.
        let behind: Vec<u64> = (0..firsts.len())
            .filter_map(|at| firsts[..at].iter().max()?.checked_sub(firsts[at]))
            .collect();
        Self {
            answered: firsts.len() as u64,
            duplicates: (order.len() - firsts.len()) as u64,
            reordered: behind.len() as u64,
            furthest_behind: behind.into_iter().max().unwrap_or(0),
        }
    }
}

/// Checks that the counts of engine, service and relay agree exactly.
fn check(anomalies: Anomalies, seed: u64) -> (UdpStats, Forwarded) {
    let (stats, forwarded) = run(anomalies, seed);
    let (stream, service) = (stats.stream, stats.service.unwrap());
    assert_eq!(
        (stream.sent, stream.unsent, stream.wrong, stream.stray),
        (PACKETS, 0, 0, 0),
        "{stats:?}"
    );
    assert_eq!((stream.dropped, service.dropped), (Some(0), Some(0)), "{stats:?}");
    let found = Expected {
        answered: stream.received + stream.late,
        duplicates: stream.duplicates,
        reordered: stream.reordered,
        furthest_behind: stream.furthest_behind,
    };
    assert_eq!(found, Expected::of(&forwarded.inbound), "{stats:?}");
    assert_eq!(stream.received + stream.lost, PACKETS);
    assert_eq!(
        (service.received, stream.read),
        (forwarded.outbound.len() as u64, forwarded.inbound.len() as u64)
    );
    let difference = |a: u64, b: u64| Some(i64::try_from(a).unwrap() - i64::try_from(b).unwrap());
    assert_eq!(stats.lost_outbound(), difference(PACKETS, service.received));
    assert_eq!(stats.lost_inbound(), difference(service.answered, stream.read));
    (stats, forwarded)
}

#[test]
fn a_clean_path_has_no_anomalies() {
    let (stats, _) = check(Anomalies::default(), 1);
    let stream = stats.stream;
    assert_eq!((stream.received, stream.read), (PACKETS, PACKETS));
}

#[test]
fn loss_in_both_directions_is_counted_exactly() {
    let (stats, forwarded) = check(
        Anomalies {
            lost: 0.01,
            ..Anomalies::default()
        },
        2,
    );
    let stream = stats.stream;
    assert!(
        stream.lost > 50 && stream.reordered == 0 && stream.duplicates == 0,
        "{stream:?}"
    );
    assert!(forwarded.outbound.len() < 4990 && forwarded.inbound.len() < forwarded.outbound.len());
}

#[test]
fn duplication_in_both_directions_is_counted_exactly() {
    let (stats, _) = check(
        Anomalies {
            duplicated: 0.01,
            ..Anomalies::default()
        },
        3,
    );
    let stream = stats.stream;
    assert!(stream.duplicates > 50 && stream.lost == stream.late, "{stream:?}");
    assert!(stats.lost_outbound().unwrap() < 0 && stats.lost_inbound().unwrap() < 0);
}

#[test]
fn reordering_is_counted_exactly() {
    let (stats, _) = check(
        Anomalies {
            reordered: 0.02,
            ..Anomalies::default()
        },
        4,
    );
    let stream = stats.stream;
    assert!(stream.reordered > 50 && stream.furthest_behind > 3, "{stream:?}");
    assert_eq!((stream.duplicates, stream.read), (0, PACKETS));
}

#[test]
fn combined_anomalies_are_counted_exactly() {
    let anomalies = Anomalies {
        lost: 0.01,
        duplicated: 0.01,
        reordered: 0.01,
    };
    for seed in [5, 6] {
        let (stats, _) = check(anomalies, seed);
        let stream = stats.stream;
        assert!(
            stream.lost > 0 && stream.duplicates > 0 && stream.reordered > 0,
            "{stream:?}"
        );
    }
}
