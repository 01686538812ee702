//! How much sampling disturbs: throughput of the tcp service with samples at 10 Hz and without, in turns.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use protocol::spec::{HttpProbe, Probe};

use super::burn::Watch;
use super::table::Table;

/// Pairs of a slice with and one without, and the length of a slice.
const PAIRS: usize = 30;
const SLICE: Duration = Duration::from_millis(1500);
/// Student's t for 95 % and 29 degrees of freedom.
const T: f64 = 2.045;

/// The static workload program.
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
        .context("no workload program: name one in JUNG_TEST_WORKLOAD, or build it with `deploy/build-workload.sh`")
}

/// The reply that counts as its first.
pub fn probe() -> Probe {
    Probe::Http(HttpProbe {
        path: "/".to_owned(),
        status: 200,
        body_bytes: None,
    })
}

/// A closed loop over connections that stay open.
pub struct Load {
    replies: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// Begins, with so many connections.
    pub fn begin(endpoint: SocketAddr, connections: usize) -> Self {
        let (replies, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let one = |_| {
            let (replies, stop) = (Arc::clone(&replies), Arc::clone(&stop));
            std::thread::spawn(move || drop(ask(endpoint, &replies, &stop)))
        };
        let threads = (0..connections).map(one).collect();
        Self { replies, stop, threads }
    }

    /// Replies so far.
    pub fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    /// Ends, with all replies.
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
            if bytes == 0 || is_whole(&buffer[..filled]) {
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

/// Whether a reply with a Content-Length is all here.
fn is_whole(reply: &[u8]) -> bool {
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

/// In turns, with and without.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let endpoint: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(workload()?);
    command
        .args(["tcp", "--listen", &endpoint.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let tcp = Tcp(command.spawn()?);
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(endpoint).is_err() {
        anyhow::ensure!(Instant::now() < until, "the tcp service does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let load = Load::begin(endpoint, 2);
    std::thread::sleep(Duration::from_secs(2));
    let slice = |sampled: bool| -> anyhow::Result<f64> {
        let watch = sampled.then(|| Watch::begin(vec![tcp.0.id()], 100)).transpose()?;
        let (began, before) = (Instant::now(), load.replies());
        std::thread::sleep(SLICE);
        let rate = (load.replies() - before) as f64 / began.elapsed().as_secs_f64();
        drop(watch.map(Watch::end));
        Ok(rate)
    };
    let mut losses = Vec::new();
    for pair in 0..PAIRS {
        // Which comes first changes, so that a drift hits both.
        let first_sampled = pair % 2 == 0;
        let (one, two) = (slice(first_sampled)?, slice(!first_sampled)?);
        let (with, without) = if first_sampled { (one, two) } else { (two, one) };
        losses.push((without - with) / without * 100.0);
    }
    load.end();
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (losses.len() - 1) as f64;
    let half = T * (variance / losses.len() as f64).sqrt();
    let note = if half > 0.5 {
        "; this host is too restless to tell 0.5 %"
    } else {
        ""
    };
    let shown = format!(
        "{mean:+.2} % [{:+.2}, {:+.2}], {PAIRS} pairs{note}",
        mean - half,
        mean + half
    );
    table.row(
        "throughput that the tcp service loses to samples at 10 Hz",
        "< 0.5 %",
        &shown,
        mean < 0.5,
    );
    Ok(())
}
