//! The disturbance by sampling: throughput of the tcp service with and without samples at 10 Hz, in turns.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use protocol::spec::{HttpProbe, Probe};

use runner::clock;
use runner::sampler::reader::Depth;
use runner::sampler::round::Rounds;
use runner::sampler::{Service, Targets};

use super::table::{Table, Verdict};

/// Pairs of a tick with a sample and one without.
const PAIRS: usize = 1000;
const TICK: Duration = Duration::from_millis(100);
/// One of this many samples is full: once a second.
const FULL: usize = 10;
/// Connections that keep the service busy.
const CONNECTIONS: usize = 8;
/// The largest acceptable loss, %.
const GOAL: f64 = 0.5;

/// The statically linked workload program.
pub fn workload() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("JUNG_TEST_WORKLOAD").map(PathBuf::from);
    let beside = || {
        let own = std::env::current_exe().ok()?;
        own.ancestors()
            .map(|folder| folder.join("workload"))
            .find(|path| path.is_file())
    };
    named
        .or_else(beside)
        .context("no workload program: set JUNG_TEST_WORKLOAD, or build it with `deploy/build-workload.sh`")
}

/// The readiness probe.
pub fn probe() -> Probe {
    Probe::Http(HttpProbe {
        path: "/".to_owned(),
        status: 200,
        body_bytes: None,
        body: None,
    })
}

/// A closed loop over persistent connections.
pub struct Load {
    replies: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// Starts it with this many connections, pinned to a CPU if given.
    pub fn begin(endpoint: SocketAddr, connections: usize, cpu: Option<usize>) -> Self {
        let (replies, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let one = |_| {
            let (replies, stop) = (Arc::clone(&replies), Arc::clone(&stop));
            std::thread::spawn(move || {
                cpu.into_iter().for_each(pin_to);
                drop(ask(endpoint, &replies, &stop));
            })
        };
        let threads = (0..connections).map(one).collect();
        Self { replies, stop, threads }
    }

    /// Replies so far.
    pub fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    /// Ends it and returns the number of replies.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
        self.replies()
    }
}

fn ask(endpoint: SocketAddr, replies: &AtomicU64, stop: &AtomicBool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(endpoint)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {endpoint}\r\n\r\n");
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        loop {
            let bytes = stream.read(&mut buffer[filled..])?;
            filled += bytes;
            if bytes == 0 || is_complete(&buffer[..filled]) {
                break;
            }
        }
        if filled == 0 {
            return Ok(());
        }
        replies.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Whether a reply with a Content-Length is complete.
fn is_complete(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

struct Tcp(Child);

impl Drop for Tcp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Pins this thread to a CPU. If that fails, the result is only less certain.
fn pin_to(cpu: usize) {
    let mut set = nix::sched::CpuSet::new();
    let _ = set
        .set(cpu)
        .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
}

/// Ticks with and without a sample in turns. The service and the load have a CPU each, both always busy, so that whatever the sampler uses is missing
/// from them. Every other tick has a sample, so that other events on the machine affect both ticks of a pair alike.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let endpoint: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let tcp = serve(endpoint)?;
    let cpus = std::thread::available_parallelism()?.get();
    let load = Load::begin(endpoint, CONNECTIONS, (cpus > 1).then_some(1));
    std::thread::sleep(Duration::from_secs(2));
    let mut sampling = Sampling::of(tcp.0.id())?;
    let mut losses = Vec::new();
    for pair in 0..PAIRS {
        // The order alternates: with, without, without, with.
        let first = pair % 2 == 0;
        let (one, two) = (sampling.slice(&load, first, pair), sampling.slice(&load, !first, pair));
        let (with, without) = if first { (one, two) } else { (two, one) };
        // Relative to the mean of both, since relative to one of them a slow one would weigh more than a fast one.
        let mean = f64::midpoint(with, without);
        losses.push(if mean > 0.0 {
            (without - with) / mean * 100.0
        } else {
            0.0
        });
    }
    load.end();
    let (middle, low, high) = hodges_lehmann(&losses);
    // Sampling makes nothing faster, so an interval far below 0 means that the host is too noisy.
    let verdict = if low >= GOAL {
        Verdict::Missed
    } else if high < GOAL && high > -GOAL {
        Verdict::Met
    } else {
        Verdict::Unresolved
    };
    let length = TICK.as_secs_f64();
    let shown = format!("{middle:+.2} % [{low:+.2}, {high:+.2}], 95 %, {PAIRS} pairs of ticks, {length} s each");
    table.row(
        "throughput that the tcp service loses to samples at 10 Hz",
        "< 0.5 %",
        &shown,
        verdict,
    );
    let bound = sampling.cpu_ns as f64 / (PAIRS as f64 * length * 1e9) / cpus.min(2) as f64 * 100.0;
    let shown = format!("{bound:.3} %: the sampler's CPU time as a share of the two busy CPUs");
    table.note("- its upper bound without cache effects", &shown);
    Ok(())
}

/// Starts the tcp service on a CPU of its own.
fn serve(endpoint: SocketAddr) -> anyhow::Result<Tcp> {
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0"])
        .arg(workload()?)
        .args(["tcp", "--listen", &endpoint.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let tcp = Tcp(command.spawn().context("taskset (util-linux)")?);
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(endpoint).is_err() {
        anyhow::ensure!(Instant::now() < until, "the tcp service does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(tcp)
}

/// The sampler's rounds at its ticks, or the same pauses without rounds.
struct Sampling {
    rounds: Rounds,
    targets: Targets,
    cpu_ns: u64,
}

impl Sampling {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let targets = Targets {
            services: vec![Service::new("bench".parse()?, vec![pid])],
            ..Targets::default()
        };
        let mut rounds = Rounds::new(
            "/proc".into(),
            std::path::Path::new("/sys"),
            runner::facts::page_bytes(),
        );
        rounds.sample(&targets, Depth::Full, || 0);
        Ok(Self {
            rounds,
            targets,
            cpu_ns: 0,
        })
    }

    /// Replies per second from one tick to the next.
    fn slice(&mut self, load: &Load, with_sample: bool, pair: usize) -> f64 {
        let (began, before) = (Instant::now(), load.replies());
        if with_sample {
            let cpu = clock::thread_cpu_ns();
            let depth = if pair.is_multiple_of(FULL) {
                Depth::Full
            } else {
                Depth::Quick
            };
            drop(self.rounds.sample(&self.targets, depth, clock::now_ns));
            self.cpu_ns += clock::thread_cpu_ns() - cpu;
        }
        std::thread::sleep(TICK.saturating_sub(began.elapsed()));
        (load.replies() - before) as f64 / began.elapsed().as_secs_f64()
    }
}

/// The Hodges-Lehmann estimator (1963) of differences with its 95 % interval: the median of the means of all pairs, and the k-th smallest and largest
/// of these, with k from Wilcoxon's signed rank test. It is robust against bursts of other work in a few slices.
fn hodges_lehmann(values: &[f64]) -> (f64, f64, f64) {
    let pairs = values
        .iter()
        .enumerate()
        .flat_map(|(i, a)| values[i..].iter().map(move |b| f64::midpoint(*a, *b)));
    let mut means: Vec<f64> = pairs.collect();
    means.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let k = n * (n + 1.0) / 4.0 - 1.96 * (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of the list"
    )]
    let k = (k.max(0.0) as usize).min(means.len() / 2);
    (means[means.len() / 2], means[k], means[means.len() - 1 - k])
}
