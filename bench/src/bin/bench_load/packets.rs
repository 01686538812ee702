//! Streams of packets: Czipri's case, beside what sockperf does on the same path.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::Context;
use loader::{Control, Engine, StreamStats, Udp, UdpPlan, UdpReply};

use super::Bench;
use super::path::{End, Path};
use super::rows::Rows;
use super::servers::own;
use super::sockperf;
use super::speed::median;

/// Packets of a stream, and bytes of its replies (Czipri 2016, chapters 3 and 4).
const PACKETS: u64 = 100_000;
const LETTERS: usize = 1000;
/// The best total time of the thesis, seconds.
const THESIS_S: f64 = 6.4;
/// Packets under way at most.
const WINDOW: u32 = 64;

/// A service of packets that runs until it is dropped.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(bench: &Bench, path: &Path, echo: bool) -> anyhow::Result<Self> {
        let mut command = path.command(End::Server, own()?, bench.server_cpu);
        command.args(["serve-udp", &path.address.to_string()]);
        if echo {
            command.arg("--echo");
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .and_then(|text| text.parse().ok());
        match address {
            Some(address) => Ok(Self { child, address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                anyhow::bail!("the service of packets said {line:?}")
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to say then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The service in this process, for ever.
pub fn serve(address: std::net::IpAddr, echo: bool) -> anyhow::Result<()> {
    let options = workloads::udp::Options {
        listen: (address, 0).into(),
        reply_bytes: LETTERS,
        echo,
        sockets: 1,
        batch: 32,
        receive_buffer: None,
    };
    Ok(workloads::udp::run(&options)?)
}

/// Over the loopback and over a veth pair.
pub fn both(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    on(&Path::loopback(), bench, rows)?;
    on(&Path::veth()?, bench, rows)
}

fn on(path: &Path, bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    // sockperf's replies are as long as its messages.
    let theirs = sockperf::best(bench, path, LETTERS);
    let text = match &theirs {
        Ok(best) => format!(
            "{:.3} s by sockperf {} ({LETTERS} bytes both ways)",
            PACKETS as f64 / best.rate,
            best.how
        ),
        Err(error) => format!("{error:#}"),
    };
    let czipri = streams(bench, path, false)?;
    rows.add(
        &format!("{PACKETS} packets, replies of {LETTERS} bytes, {}", path.name),
        format!("{}, {:.1} x the thesis' best", czipri.text, THESIS_S / czipri.total_s),
        text.clone(),
        "none lost, 5 x 6.4 s",
        czipri.lost == 0 && THESIS_S / czipri.total_s >= 5.0,
    );
    let echo = streams(bench, path, true)?;
    rows.add(
        &format!("{PACKETS} packets of {LETTERS} bytes and their echoes, {}", path.name),
        echo.text,
        text,
        "be shown, none lost",
        echo.lost == 0 && theirs.is_ok(),
    );
    Ok(())
}

/// What came of some streams.
struct Streams {
    /// The median of their total times.
    total_s: f64,
    /// Over all of them, with those that could not be sent.
    lost: u64,
    text: String,
}

fn streams(bench: &Bench, path: &Path, echo: bool) -> anyhow::Result<Streams> {
    let service = Service::start(bench, path, echo)?;
    let all = (0..bench.rounds)
        .map(|_| stream(bench, path, service.address, echo))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let lost: u64 = all.iter().map(|one| one.sent + one.unsent - one.received).sum();
    let total_s = median(all.iter().map(|one| one.total_ns as f64 / 1e9).collect());
    Ok(Streams {
        total_s,
        lost,
        text: format!("{total_s:.3} s, {lost} lost of {} x {PACKETS}", all.len()),
    })
}

fn stream(bench: &Bench, path: &Path, address: SocketAddr, echo: bool) -> anyhow::Result<StreamStats> {
    let plan = UdpPlan {
        window: Some(WINDOW),
        warm_up: Duration::from_millis(100),
        size: if echo { LETTERS } else { 8 },
        reply: if echo {
            UdpReply::Echo
        } else {
            UdpReply::Letters(LETTERS)
        },
        cpus: vec![bench.cpu],
        ..UdpPlan::new(PACKETS)
    };
    let outcome = path.inside(|| Ok(Udp::new(plan, address)?.run(&Control::new())?))?;
    Ok(outcome.udp.context("the engine knows nothing of its stream")?.stream)
}
