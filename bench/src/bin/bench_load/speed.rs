//! Requests a second, side by side.

use super::Bench;
use super::bare::bare;
use super::engine::{cpu_us, failures, max};
use super::rows::Rows;
use super::servers::Server;
use super::tools::{self, Speed};

/// Connections in every closed loop.
const CONNECTIONS: u32 = 64;

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// What ours and theirs did on a server.
struct Sides {
    ours: Speed,
    theirs: Option<Speed>,
    /// Our failures, in words.
    failures: String,
}

/// Ours and theirs in turn, so that a change of the machine meets both; medians of both.
fn in_turn(bench: &Bench, server: &Server, theirs: impl Fn() -> anyhow::Result<Speed>) -> anyhow::Result<Sides> {
    let (mut ours, mut others, mut failed) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..bench.rounds {
        match theirs() {
            Ok(speed) => others.push(speed),
            Err(error) => eprintln!("   {error:#}"),
        }
        let outcome = max(bench, server, CONNECTIONS, true)?;
        ours.push(Speed {
            rate: outcome.throughput_per_s(),
            cores: outcome.usage.cpu_share(),
        });
        failed += &failures(&outcome);
    }
    Ok(Sides {
        ours: middle(&ours),
        theirs: (!others.is_empty()).then(|| middle(&others)),
        failures: failed,
    })
}

fn middle(all: &[Speed]) -> Speed {
    Speed {
        rate: median(all.iter().map(|speed| speed.rate).collect()),
        cores: median(all.iter().map(|speed| speed.cores).collect()),
    }
}

fn servers(bench: &Bench) -> anyhow::Result<[Server; 2]> {
    Ok([Server::nginx(bench.server_cpu)?, Server::tcp(bench.server_cpu)?])
}

/// wrk on kept connections; and the two servers, as either sees them.
pub fn keep_alive(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let text = |speed: Speed| {
        format!(
            "{:.0}/s, {:.2} us CPU each, busy {:.0} %",
            speed.rate,
            speed.cpu_us(),
            speed.cores * 100.0
        )
    };
    let mut seen = Vec::new();
    for server in servers(bench)? {
        let sides = in_turn(bench, &server, || {
            Ok(tools::wrk(bench, &server, bench.seconds, &[])?.speed)
        })?;
        let floor = bare(bench, &server, CONNECTIONS as usize)?;
        let note = format!("{}; bare calls {}", sides.failures, text(floor));
        let ours = (sides.ours.rate, text(sides.ours) + &note);
        let theirs = sides.theirs.map(|theirs| (theirs.rate, text(theirs)));
        rows.ratio(
            &format!("wrk, keep-alive, 64 connections, {}", server.name),
            ours,
            theirs,
            1.0,
        );
        seen.push(sides);
    }
    if let [nginx, tcp] = &seen[..] {
        let rate = |speed: Speed| (speed.rate, format!("{:.0}/s", speed.rate));
        rows.ratio(
            "our tcp service beside nginx, driven by us",
            rate(tcp.ours),
            Some(rate(nginx.ours)),
            0.8,
        );
        if let Some(tcp) = tcp.theirs {
            rows.ratio(
                "our tcp service beside nginx, driven by wrk",
                rate(tcp),
                nginx.theirs.map(rate),
                0.8,
            );
        }
    }
    Ok(())
}

/// oha on kept connections.
pub fn oha(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    per_core("oha", bench, rows, 3.0, |server| tools::oha(bench, server))
}

/// JMeter on kept connections.
pub fn jmeter(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let once = Bench {
        rounds: 1,
        ..bench.clone()
    };
    per_core("JMeter", &once, rows, 10.0, |server| tools::jmeter(bench, server))
}

/// Requests a second for each core that was used: a generator that leaves the server's core as the limit is not done with its own.
fn per_core(
    name: &str,
    bench: &Bench,
    rows: &mut Rows,
    least: f64,
    theirs: impl Fn(&Server) -> anyhow::Result<Speed>,
) -> anyhow::Result<()> {
    let server = Server::nginx(bench.server_cpu)?;
    let sides = in_turn(bench, &server, || theirs(&server))?;
    let side = |speed: Speed| {
        let text = format!(
            "{:.0}/s for each core used ({:.0}/s on {:.2})",
            speed.per_core(),
            speed.rate,
            speed.cores
        );
        (speed.per_core(), text)
    };
    let (ours, text) = side(sides.ours);
    let floor = bare(bench, &server, CONNECTIONS as usize)?.per_core();
    let most = sides.theirs.map_or(0.0, |theirs| floor / theirs.per_core());
    let note = format!("{}; bare calls {floor:.0}/s: {most:.1} x is the most", sides.failures);
    let what = format!("{name}, keep-alive, nginx, one core each");
    rows.ratio(&what, (ours, text + &note), sides.theirs.map(side), least);
    Ok(())
}

/// A connection for each request: ours as fast as it goes without an error, httperf at its highest clean rate, wrk beside.
pub fn connections(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    for server in servers(bench)? {
        let clean = highest_clean(bench, &server);
        if let Err(error) = &clean {
            eprintln!("   {error:#}");
        }
        let wrk = tools::wrk(bench, &server, bench.seconds, &["-H", "Connection: close"]).map(|wrk| wrk.speed.rate);
        let mut rates = Vec::new();
        let mut note = String::new();
        for _ in 0..bench.rounds {
            let outcome = max(bench, &server, CONNECTIONS, false)?;
            rates.push(outcome.throughput_per_s());
            note = format!(
                ", {:.1} us CPU each{}; wrk {}",
                cpu_us(&outcome),
                failures(&outcome),
                wrk.as_ref()
                    .map_or_else(ToString::to_string, |rate| format!("{rate:.0}/s"))
            );
        }
        let what = format!("httperf, a connection a request, {}", server.name);
        let ours = median(rates);
        let theirs = clean.ok().map(|rate| (rate, format!("{rate:.0}/s")));
        rows.ratio(&what, (ours, format!("{ours:.0}/s{note}")), theirs, 1.5);
    }
    Ok(())
}

/// The highest rate at which httperf makes no error and keeps within 2 % of it, to 6 %.
fn highest_clean(bench: &Bench, server: &Server) -> anyhow::Result<f64> {
    const SECONDS: f64 = 2.0;
    let clean = |rate: f64| -> anyhow::Result<Option<f64>> {
        let Ok(report) = tools::httperf(bench, server, rate, SECONDS, 1) else {
            return Ok(None);
        };
        let good = report.good_per_s();
        Ok((report.errors.is_empty() && good >= rate * 0.98).then_some(good))
    };
    let (mut low, mut high, mut best) = (0.0, 4000.0, 0.0);
    while let Some(rate) = clean(high)? {
        (low, high, best) = (high, high * 2.0, rate);
        anyhow::ensure!(high < 1e6, "httperf is clean at any rate");
    }
    while high - low > high * 0.06 {
        let middle = f64::midpoint(low, high);
        match clean(middle)? {
            Some(rate) => (low, best) = (middle, rate),
            None => high = middle,
        }
    }
    anyhow::ensure!(best > 0.0, "httperf is clean at no rate");
    Ok(best)
}
