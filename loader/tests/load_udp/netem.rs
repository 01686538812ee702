//! The engine's figures against the kernel's `netem`, through a veth pair between two network namespaces.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loader::{Control, Engine, Udp, UdpStats, UdpPlan};
use nix::sched::{CloneFlags, setns};

/// Packets of a stream.
const PACKETS: u64 = 50_000;
/// The bounds fail a right engine once in a million: 4.9 standard deviations to each side.
const SIGMA: f64 = 4.9;
/// The ends of the cable (RFC 2544's addresses for benchmarks).
const HERE: &str = "198.18.7.1";
const THERE: &str = "198.18.7.2";

/// Two namespaces with a cable and the workload in the second. They are gone with it.
struct Cable {
    ends: [String; 2],
    service: Option<Child>,
    port: u16,
}

impl Cable {
    /// `netem` is what the cable does to packets on their way to the service.
    fn new(netem: &[&str]) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut cable = Self {
            ends: ["a", "b"].map(|end| format!("udp-{}-{end}", &id[..12])),
            service: None,
            port: 0,
        };
        for end in &cable.ends {
            run("ip", &["netns", "add", end]);
        }
        let [here, there] = &cable.ends;
        run(
            "ip",
            &[
                "-n", here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there,
            ],
        );
        for (end, address) in [(here, HERE), (there, THERE)] {
            run(
                "ip",
                &["-n", end, "address", "add", &format!("{address}/30"), "dev", "cable"],
            );
            run("ip", &["-n", end, "link", "set", "cable", "up"]);
        }
        let tc = [
            "-n", here, "qdisc", "add", "dev", "cable", "root", "netem", "limit", "100000",
        ];
        run("tc", &[&tc, netem].concat());
        let workload = Path::new(env!("CARGO_BIN_EXE_loader")).with_file_name("workload");
        assert!(
            workload.exists(),
            "{} is missing: cargo build --workspace first",
            workload.display()
        );
        let mut service = Command::new("ip")
            .args(["netns", "exec", there])
            .arg(workload)
            .args(["udp", "--listen", &format!("{THERE}:0"), "--receive-buffer", "2000000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(service.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        cable.port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        cable.service = Some(service);
        cable
    }

    /// Runs the engine at this end. A thread changes its namespace for good, and its children are in it, too.
    fn stream(&self) -> UdpStats {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.ends[0])).unwrap();
        let address = format!("{THERE}:{}", self.port).parse().unwrap();
        let plan = UdpPlan {
            window: None,
            pace: Duration::from_micros(40),
            timeout: Duration::from_secs(5),
            ..UdpPlan::new(PACKETS)
        };
        let engine = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            Udp::new(plan, address).unwrap().run(&Control::new()).unwrap()
        });
        let figures = engine.join().unwrap().udp.unwrap();
        assert_eq!(figures.stream.sent, PACKETS);
        // What the ends dropped for want of room is known, and is not the cable's.
        assert_eq!(figures.stream.dropped, Some(0), "{figures:?}");
        assert_eq!(
            figures.service.and_then(|service| service.dropped),
            Some(0),
            "{figures:?}"
        );
        println!("{figures:?}");
        figures
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
        for end in &self.ends {
            let _ = Command::new("ip").args(["netns", "delete", end]).status();
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// A count of independent events of this probability.
#[track_caller]
fn binomial(what: &str, count: u64, of: u64, probability: f64) {
    let (mean, n) = (of as f64 * probability, of as f64);
    let deviation = (n * probability * (1.0 - probability)).sqrt();
    assert!(
        (count as f64 - mean).abs() <= SIGMA * deviation + 1.0,
        "{what}: {count} of {of}, {mean:.0} are expected, give or take {:.0}",
        SIGMA * deviation
    );
}

#[test]
#[ignore = "needs root and netem"]
fn netem_one_percent_loss() {
    let figures = Cable::new(&["loss", "1%"]).stream();
    let stream = figures.stream;
    binomial("loss", stream.lost, PACKETS, 0.01);
    assert_eq!(stream.received + stream.lost, PACKETS);
    assert_eq!((stream.duplicates, stream.reordered, stream.late), (0, 0, 0));
    // All of it on the way there, and the ends agree to the packet.
    assert_eq!(figures.lost_outbound(), Some(i64::try_from(stream.lost).unwrap()));
    assert_eq!(figures.lost_inbound(), Some(0));
}

#[test]
#[ignore = "needs root and netem"]
fn netem_one_percent_duplication() {
    let figures = Cable::new(&["duplicate", "1%"]).stream();
    let stream = figures.stream;
    binomial("duplicates", stream.duplicates, PACKETS, 0.01);
    assert_eq!((stream.received, stream.lost), (PACKETS, 0));
    assert_eq!(figures.service.unwrap().received, PACKETS + stream.duplicates);
    assert_eq!(
        figures.lost_outbound(),
        Some(-i64::try_from(stream.duplicates).unwrap())
    );
}

/// netem sends the chosen packets at once and holds the others for 5 ms: 125 packets at 40 us. A chosen packet overtakes those, and each of
/// them is then late once; so at 0.1 % about every eighth is reordered: all but those in front of which nothing overtook for 125 packets.
#[test]
#[ignore = "needs root and netem"]
fn netem_reordering() {
    let figures = Cable::new(&["delay", "5ms", "reorder", "0.1%"]).stream();
    let stream = figures.stream;
    assert_eq!((stream.received, stream.lost, stream.duplicates), (PACKETS, 0, 0));
    // The packets are not independent of each other: those held together are late together. So the bound is that of the overtaking packets, of
    // which each makes some 125 late.
    let held = 5_000_f64 / 40.0;
    let late = 1.0 - (1.0_f64 - 0.001).powf(held);
    let groups = PACKETS as f64 / held;
    let deviation = (groups * late * (1.0 - late)).sqrt() * held;
    let expected = PACKETS as f64 * late;
    assert!(
        (stream.reordered as f64 - expected).abs() <= SIGMA * deviation + 0.1 * expected,
        "{} reordered, {expected:.0} are expected, give or take {:.0}",
        stream.reordered,
        SIGMA * deviation + 0.1 * expected
    );
    assert!(
        stream.furthest_behind >= 1 && stream.furthest_behind <= 1000,
        "{stream:?}"
    );
}
