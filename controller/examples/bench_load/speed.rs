//! Requests a second, side by side.

use super::Bench;
use super::engine::{cpu_us, failures, max};
use super::rows::Rows;
use super::servers::Server;
use super::tools;

/// Connections in every closed loop.
const CONNECTIONS: u32 = 64;

/// The median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Ours and theirs in turn, so that a change of the machine meets both; medians of both, and our note.
fn in_turn(
    bench: &Bench,
    server: &Server,
    theirs: impl Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<(f64, Option<f64>, String)> {
    let (mut our_rates, mut their_rates, mut note) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..bench.rounds {
        match theirs() {
            Ok(rate) => their_rates.push(rate),
            Err(error) => eprintln!("   {error:#}"),
        }
        let outcome = max(bench, server, CONNECTIONS, true)?;
        our_rates.push(outcome.throughput_per_s());
        note = format!(
            ", {:.1} us CPU each, busy {:.0} %{}",
            cpu_us(&outcome),
            outcome.usage.cpu_share() * 100.0,
            failures(&outcome)
        );
    }
    let theirs = (!their_rates.is_empty()).then(|| median(their_rates));
    Ok((median(our_rates), theirs, note))
}

fn servers(bench: &Bench) -> anyhow::Result<[Server; 2]> {
    Ok([Server::nginx(bench.server_cpu)?, Server::tcp(bench.server_cpu)?])
}

/// wrk on kept connections.
pub fn keep_alive(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    for server in servers(bench)? {
        let theirs = || Ok(tools::wrk(bench, &server, bench.seconds, &[])?.rate);
        let (ours, theirs, note) = in_turn(bench, &server, theirs)?;
        rows.ratio(
            &format!("wrk, keep-alive, 64 connections, {}", server.name),
            ours,
            theirs,
            1.0,
            &note,
        );
    }
    Ok(())
}

/// oha on kept connections.
pub fn oha(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let server = Server::nginx(bench.server_cpu)?;
    let (ours, theirs, note) = in_turn(bench, &server, || tools::oha(bench, &server))?;
    rows.ratio("oha, one core, nginx", ours, theirs, 3.0, &note);
    Ok(())
}

/// JMeter on kept connections.
pub fn jmeter(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let server = Server::nginx(bench.server_cpu)?;
    let once = Bench {
        rounds: 1,
        ..bench.clone()
    };
    let (ours, theirs, note) = in_turn(&once, &server, || tools::jmeter(bench, &server))?;
    rows.ratio("JMeter, one core, nginx", ours, theirs, 10.0, &note);
    Ok(())
}

/// A connection for each request: ours as fast as it goes without an error, httperf at its highest clean rate, wrk beside.
pub fn connections(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    for server in servers(bench)? {
        let clean = highest_clean(bench, &server);
        if let Err(error) = &clean {
            eprintln!("   {error:#}");
        }
        let wrk = tools::wrk(bench, &server, bench.seconds, &["-H", "Connection: close"]).map(|wrk| wrk.rate);
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
        rows.ratio(&what, median(rates), clean.ok(), 1.5, &note);
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
