//! The engine's statistics with the kernel's `netem` on a veth pair between two network namespaces.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loader::{Control, Engine, Udp, UdpPlan, UdpStats};
use nix::sched::{CloneFlags, setns};

const PACKETS: u64 = 50_000;
/// Tolerance in standard deviations: a correct engine fails once in a million.
const SIGMA: f64 = 4.9;
/// The addresses of both ends, from the benchmark range of RFC 2544.
const HERE: &str = "198.18.7.1";
const THERE: &str = "198.18.7.2";

/// Two namespaces that are connected by a veth pair, with the workload in the second; removed when dropped.
struct Cable {
    ends: [String; 2],
    service: Option<Child>,
    port: u16,
}

impl Cable {
    /// `netem` configures the path to the service.
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

    /// Runs the engine at this end, on a thread of its own, whose namespace its child threads inherit.
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
        let stats = engine.join().unwrap().udp.unwrap();
        assert_eq!(stats.stream.sent, PACKETS);
        // Packets dropped at the ends would not be netem's.
        assert_eq!(stats.stream.dropped, Some(0), "{stats:?}");
        assert_eq!(stats.service.and_then(|service| service.dropped), Some(0), "{stats:?}");
        println!("{stats:?}");
        stats
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

/// Checks a count of independent events with this probability.
#[track_caller]
fn binomial(what: &str, count: u64, of: u64, probability: f64) {
    let (mean, n) = (of as f64 * probability, of as f64);
    let deviation = (n * probability * (1.0 - probability)).sqrt();
    assert!(
        (count as f64 - mean).abs() <= SIGMA * deviation + 1.0,
        "{what}: {count} of {of}, expected {mean:.0} ± {:.0}",
        SIGMA * deviation
    );
}

#[test]
#[ignore = "needs root and netem"]
fn netem_one_percent_loss() {
    let stats = Cable::new(&["loss", "1%"]).stream();
    let stream = stats.stream;
    binomial("loss", stream.lost, PACKETS, 0.01);
    assert_eq!(stream.received + stream.lost, PACKETS);
    assert_eq!((stream.duplicates, stream.reordered, stream.late), (0, 0, 0));
    // All loss is on the outbound path, and both ends agree exactly.
    assert_eq!(stats.lost_outbound(), Some(i64::try_from(stream.lost).unwrap()));
    assert_eq!(stats.lost_inbound(), Some(0));
}

#[test]
#[ignore = "needs root and netem"]
fn netem_one_percent_duplication() {
    let stats = Cable::new(&["duplicate", "1%"]).stream();
    let stream = stats.stream;
    binomial("duplicates", stream.duplicates, PACKETS, 0.01);
    assert_eq!((stream.received, stream.lost), (PACKETS, 0));
    assert_eq!(stats.service.unwrap().received, PACKETS + stream.duplicates);
    assert_eq!(stats.lost_outbound(), Some(-i64::try_from(stream.duplicates).unwrap()));
}

/// netem sends the selected packets immediately and delays the others by 5 ms, i.e. 125 packets at 40 us. A selected packet overtakes those, each of which
/// is then reordered; at 0.1 % this is about every eighth: all packets that are overtaken within 125 packets.
#[test]
#[ignore = "needs root and netem"]
fn netem_reordering() {
    let stats = Cable::new(&["delay", "5ms", "reorder", "0.1%"]).stream();
    let stream = stats.stream;
    assert_eq!((stream.received, stream.lost, stream.duplicates), (PACKETS, 0, 0));
    // Packets delayed together are reordered together, so they are not independent. The bound is that of the overtaking packets, each of which
    // reorders about 125.
    let held = 5_000_f64 / 40.0;
    let late = 1.0 - (1.0_f64 - 0.001).powf(held);
    let groups = PACKETS as f64 / held;
    let deviation = (groups * late * (1.0 - late)).sqrt() * held;
    let expected = PACKETS as f64 * late;
    assert!(
        (stream.reordered as f64 - expected).abs() <= SIGMA * deviation + 0.1 * expected,
        "{} reordered, expected {expected:.0} ± {:.0}",
        stream.reordered,
        SIGMA * deviation + 0.1 * expected
    );
    assert!(
        stream.furthest_behind >= 1 && stream.furthest_behind <= 1000,
        "{stream:?}"
    );
}
