//! The engine's figures against a relay that loses, doubles and swaps packets by a seeded draw, in both directions, in front of the real workload, and knows
//! what it let through. So they must agree to the packet, on any kernel; `netem` is held against statistics only.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loader::{Control, Engine, Udp, UdpStats, UdpPlan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workloads::shutdown::{Shutdown, Trigger};

const PACKETS: u64 = 5000;
/// A relay with nothing to do lets go what it holds after this time.
const IDLE: Duration = Duration::from_millis(20);

/// What becomes of packets, as probabilities in each direction.
#[derive(Clone, Copy, Debug, Default)]
struct Deeds {
    lost: f64,
    doubled: f64,
    swapped: f64,
}

/// The counts of the packets that were let through, in their order, on the way there and on the way back.
#[derive(Debug)]
struct Passed {
    there: Vec<u64>,
    back: Vec<u64>,
}

/// One direction of the relay.
struct Way<'a> {
    from: &'a UdpSocket,
    deeds: Deeds,
    random: ChaCha8Rng,
    passed: Vec<u64>,
    /// Held packets, each with the number of packets that must pass it first.
    held: Vec<(u32, Vec<u8>)>,
}

impl Way<'_> {
    /// Carries packets until it is over. `count` reads the count of a packet; `send` sends it on, or keeps it for itself if it is none of the stream.
    fn run(
        mut self,
        over: &AtomicBool,
        count: impl Fn(&[u8]) -> u64,
        send: impl Fn(&[u8]),
        note: impl Fn(&[u8], SocketAddr) -> bool,
    ) -> Vec<u64> {
        let mut buffer = [0; 2048];
        self.from.set_read_timeout(Some(IDLE)).unwrap();
        while !over.load(Ordering::Relaxed) {
            let Ok((length, sender)) = self.from.recv_from(&mut buffer) else {
                self.held.iter_mut().for_each(|(behind, _)| *behind = 0);
                self.let_go(&count, &send);
                continue;
            };
            let packet = &buffer[..length];
            if !note(packet, sender) {
                send(packet);
            } else if self.random.random_bool(self.deeds.swapped) {
                self.held.push((self.random.random_range(1..20), packet.to_vec()));
            } else if !self.random.random_bool(self.deeds.lost) {
                let times = 1 + usize::from(self.random.random_bool(self.deeds.doubled));
                (0..times).for_each(|_| self.pass(packet, &count, &send));
                self.let_go(&count, &send);
            }
        }
        self.passed
    }

    fn pass(&mut self, packet: &[u8], count: &impl Fn(&[u8]) -> u64, send: &impl Fn(&[u8])) {
        self.passed.push(count(packet));
        send(packet);
    }

    /// Lets go what enough packets have passed.
    fn let_go(&mut self, count: &impl Fn(&[u8]) -> u64, send: &impl Fn(&[u8])) {
        let mut held = std::mem::take(&mut self.held);
        held.retain_mut(|(behind, packet)| {
            let waits = *behind > 0;
            if waits {
                *behind -= 1;
            } else {
                self.pass(packet, count, send);
            }
            waits
        });
        self.held = held;
    }
}

/// Ends relay and service when the load is over, also by a panic.
struct End<'a>(&'a AtomicBool, Trigger);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.fire().unwrap();
    }
}

/// Runs the engine through a relay to the workload.
fn through(deeds: Deeds, seed: u64) -> (UdpStats, Passed) {
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
    let (over, asker, streamer) = (AtomicBool::new(false), Mutex::new(None), Mutex::new(None));
    let way = |from, stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Way {
            from,
            deeds,
            random,
            passed: Vec::new(),
            held: Vec::new(),
        }
    };
    let is_question = |packet: &[u8]| packet.starts_with(b"STAT");
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap()) & ((1 << 48) - 1);
    let end = End(&over, trigger);
    std::thread::scope(|scope| {
        scope.spawn(|| workloads::udp::serve(&sockets, &options, &shutdown).unwrap());
        let there = scope.spawn(|| {
            let note = |packet: &[u8], sender| {
                let place = if is_question(packet) { &asker } else { &streamer };
                *place.lock().unwrap() = Some(sender);
                !is_question(packet)
            };
            let send = |packet: &[u8]| drop(back.send(packet));
            way(&front, 0).run(&over, |packet| number(&packet[..8]), send, note)
        });
        let back = scope.spawn(|| {
            let send = |packet: &[u8]| {
                let place = if is_question(packet) { &asker } else { &streamer };
                let client = place.lock().unwrap().unwrap();
                drop(front.send_to(packet, client));
            };
            let count = |packet: &[u8]| number(&packet[packet.len() - 8..]);
            way(&back, 1).run(&over, count, send, |packet, _| !is_question(packet))
        });
        // So few are under way at a time that no socket on the way can be full.
        let plan = UdpPlan {
            window: Some(64),
            timeout: Duration::from_secs(3),
            ..UdpPlan::new(PACKETS)
        };
        let outcome = Udp::new(plan, front.local_addr().unwrap())
            .unwrap()
            .run(&Control::new())
            .unwrap();
        drop(end);
        let passed = Passed {
            there: there.join().unwrap(),
            back: back.join().unwrap(),
        };
        (outcome.udp.unwrap(), passed)
    })
}

/// What the relay let through to the engine, by the definitions of `docs/metrics.md`.
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
        // How far each lies behind the highest before it.
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

/// Everything that engine, service and relay counted is the same to the packet.
fn agree(deeds: Deeds, seed: u64) -> (UdpStats, Passed) {
    let (figures, passed) = through(deeds, seed);
    let (stream, service) = (figures.stream, figures.service.unwrap());
    assert_eq!(
        (stream.sent, stream.unsent, stream.wrong, stream.stray),
        (PACKETS, 0, 0, 0),
        "{figures:?}"
    );
    assert_eq!((stream.dropped, service.dropped), (Some(0), Some(0)), "{figures:?}");
    let found = Expected {
        answered: stream.received + stream.late,
        duplicates: stream.duplicates,
        reordered: stream.reordered,
        furthest_behind: stream.furthest_behind,
    };
    assert_eq!(found, Expected::of(&passed.back), "{figures:?}");
    assert_eq!(stream.received + stream.lost, PACKETS);
    assert_eq!(
        (service.received, stream.read),
        (passed.there.len() as u64, passed.back.len() as u64)
    );
    let less = |more: u64, less: u64| Some(i64::try_from(more).unwrap() - i64::try_from(less).unwrap());
    assert_eq!(figures.lost_outbound(), less(PACKETS, service.received));
    assert_eq!(figures.lost_inbound(), less(service.answered, stream.read));
    (figures, passed)
}

#[test]
fn a_path_that_does_nothing_shows_nothing() {
    let (figures, _) = agree(Deeds::default(), 1);
    let stream = figures.stream;
    assert_eq!((stream.received, stream.read), (PACKETS, PACKETS));
}

#[test]
fn one_percent_loss_each_way_is_counted_to_the_packet() {
    let (figures, passed) = agree(
        Deeds {
            lost: 0.01,
            ..Deeds::default()
        },
        2,
    );
    let stream = figures.stream;
    assert!(
        stream.lost > 50 && stream.reordered == 0 && stream.duplicates == 0,
        "{stream:?}"
    );
    assert!(passed.there.len() < 4990 && passed.back.len() < passed.there.len());
}

#[test]
fn one_percent_duplication_each_way_is_counted_to_the_packet() {
    let (figures, _) = agree(
        Deeds {
            doubled: 0.01,
            ..Deeds::default()
        },
        3,
    );
    let stream = figures.stream;
    assert!(stream.duplicates > 50 && stream.lost == stream.late, "{stream:?}");
    assert!(figures.lost_outbound().unwrap() < 0 && figures.lost_inbound().unwrap() < 0);
}

#[test]
fn reordering_is_counted_to_the_packet() {
    let (figures, _) = agree(
        Deeds {
            swapped: 0.02,
            ..Deeds::default()
        },
        4,
    );
    let stream = figures.stream;
    assert!(stream.reordered > 50 && stream.furthest_behind > 3, "{stream:?}");
    assert_eq!((stream.duplicates, stream.read), (0, PACKETS));
}

#[test]
fn all_at_once_is_counted_to_the_packet() {
    let deeds = Deeds {
        lost: 0.01,
        doubled: 0.01,
        swapped: 0.01,
    };
    for seed in [5, 6] {
        let (figures, _) = agree(deeds, seed);
        let stream = figures.stream;
        assert!(
            stream.lost > 0 && stream.duplicates > 0 && stream.reordered > 0,
            "{stream:?}"
        );
    }
}
