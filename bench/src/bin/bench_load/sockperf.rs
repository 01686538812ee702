//! sockperf, in whatever way it makes most round trips a second without losing one.

use std::net::UdpSocket;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use loader::Control;
use loader::external::run;

use super::Bench;
use super::path::{End, Path};

const INSTALL: &str = "apt-get install sockperf";

/// The best that it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Round trips a second.
    pub rate: f64,
    /// Its options.
    pub how: String,
}

/// Its server, which ends when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to say then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries its ways with messages of so many bytes: bursts of several lengths whose replies are waited for, then rates above the best of these.
pub fn best(bench: &Bench, path: &Path, bytes: usize) -> anyhow::Result<Best> {
    let port = path.inside(|| Ok(UdpSocket::bind("0.0.0.0:0")?.local_addr()?.port()))?;
    let _server = serve(bench, path, port)?;
    let mut best: Option<Best> = None;
    let mut take = |how: String| -> anyhow::Result<f64> {
        let mut command = path.command(End::Generator, "sockperf", bench.cpu);
        command.args(how.split(' ')).args(["-i", &path.address.to_string()]);
        command.args(["-p", &port.to_string(), "-m", &bytes.to_string(), "-t", "2"]);
        // A rate that is far too high ends without a figure.
        let (rate, dropped) = read(&run(command, INSTALL, &Control::new())?).unwrap_or((0.0, u64::MAX));
        if dropped == 0 && best.as_ref().is_none_or(|best| rate > best.rate) {
            best = Some(Best { rate, how });
        }
        Ok(best.as_ref().map_or(0.0, |best| best.rate))
    };
    let mut rate = 0.0;
    for burst in [1, 4, 16, 64] {
        rate = take(format!("ping-pong -b {burst}"))?;
    }
    for faster in [1.1, 1.3, 1.6, 2.0] {
        take(format!("under-load --reply-every=1 --mps={:.0}", rate * faster))?;
    }
    best.context("sockperf loses packets, however it is run")
}

fn serve(bench: &Bench, path: &Path, port: u16) -> anyhow::Result<Server> {
    let mut command = path.command(End::Server, "sockperf", bench.server_cpu);
    command.args(["server", "-i", &path.address.to_string(), "-p", &port.to_string()]);
    let server = Server(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(INSTALL)?,
    );
    let until = Instant::now() + Duration::from_secs(10);
    // Asked of the server's own namespace, whose sockets its process shows.
    let table = format!("/proc/{}/net/udp", server.0.id());
    let wanted = format!(":{port:04X} ");
    while !std::fs::read_to_string(&table).is_ok_and(|sockets| sockets.contains(&wanted)) {
        if Instant::now() > until {
            bail!("sockperf's server does not listen after 10 s ({INSTALL})");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

/// Round trips a second of the valid part, and the messages without a reply.
fn read(said: &str) -> Option<(f64, u64)> {
    let line = said.lines().find(|line| line.contains("[Valid Duration]"))?;
    let number = |line: &str, name: &str| -> Option<f64> {
        let rest = line.split_once(name)?.1;
        rest.split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .next()?
            .parse()
            .ok()
    };
    let drops = said.lines().find(|line| line.contains("# dropped messages = "))?;
    let rate = number(line, "ReceivedMessages=")? / number(line, "RunTime=")?;
    let dropped = drops
        .split_once("dropped messages = ")?
        .1
        .split(';')
        .next()?
        .parse()
        .ok()?;
    Some((rate, dropped))
}
