//! Runs the engine `rate` (or `max`, with `--max`) by hand and prints what it measured, to be held beside wrk and httperf.
//!
//! `cargo run --release -p bench --bin fire -- 127.0.0.1:8080 --rate 1000 --duration 10`

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use hdrhistogram::Histogram;
use loader::{Arrivals, BodyRule, Connections, Control, Engine, Expect, Max, MaxPlan, Outcome, Rate, RatePlan, Target};

/// Open-loop load on one address.
#[derive(Debug, Parser)]
struct Options {
    /// Address and port of the service.
    address: SocketAddr,
    /// Requests a second.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Seconds of the measured window.
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    /// Seconds of the warm-up.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds after which a request is given up.
    #[arg(long, default_value_t = 2.0)]
    timeout: f64,
    /// Path of the request.
    #[arg(long, default_value = "/")]
    path: String,
    /// How many letters A the body must have; 0 takes any body.
    #[arg(long, default_value_t = 1000)]
    letters: u64,
    /// Keep-alive pool of so many connections instead of one connection for each request; with `--max` 0 is a connection for each request.
    #[arg(long)]
    pool: Option<u32>,
    /// Connections open at most.
    #[arg(long)]
    at_most: Option<u32>,
    /// Closed loop of so many connections, as fast as they go, instead of a rate.
    #[arg(long)]
    max: Option<u32>,
    /// Poisson arrivals with this seed instead of uniform ones.
    #[arg(long)]
    poisson: Option<u64>,
    /// Microseconds before a request is due at which its thread stops sleeping.
    #[arg(long, default_value_t = 50)]
    spin: u64,
    /// Cores to pin to, one thread each.
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
}

impl Options {
    fn plan(&self) -> RatePlan {
        RatePlan {
            warm_up: Duration::from_secs_f64(self.warm_up),
            timeout: Duration::from_secs_f64(self.timeout),
            arrivals: self.poisson.map_or(Arrivals::Uniform, |_| Arrivals::Poisson),
            seed: self.poisson.unwrap_or_default(),
            connections: match self.pool {
                Some(pool) => Connections::KeepAlive {
                    pool,
                    at_most: self.at_most.unwrap_or(pool.max(1) * 16),
                },
                None => Connections::PerRequest { at_most: self.at_most },
            },
            cpus: self.cpus.clone(),
            spin: Duration::from_micros(self.spin),
            ..RatePlan::new(self.rate, Duration::from_secs_f64(self.duration))
        }
    }

    fn max_plan(&self, connections: u32) -> MaxPlan {
        MaxPlan {
            warm_up: Duration::from_secs_f64(self.warm_up),
            timeout: Duration::from_secs_f64(self.timeout),
            keep_alive: self.pool != Some(0),
            cpus: self.cpus.clone(),
            ..MaxPlan::new(connections, Duration::from_secs_f64(self.duration))
        }
    }

    fn target(&self) -> Target {
        let body = match self.letters {
            0 => BodyRule::Any,
            count => BodyRule::Repeat { byte: b'A', count },
        };
        Target {
            address: self.address,
            path: self.path.clone(),
            expect: Expect::ok(body),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let engine: Box<dyn Engine> = match options.max {
        Some(connections) => Box::new(Max::new(&options.max_plan(connections), &options.target())?),
        None => Box::new(Rate::new(options.plan(), &options.target())?),
    };
    let outcome = engine.run(&Control::new())?;
    print_outcome(&outcome);
    Ok(())
}

fn print_outcome(outcome: &Outcome) {
    let counts = &outcome.counts;
    println!(
        "window: due {} sent {} succeeded {} failed {} ({:.1}/s); warm-up: due {} failed {}",
        counts.due,
        counts.sent,
        counts.succeeded,
        counts.failed(),
        outcome.throughput_per_s(),
        outcome.warm_up.due,
        outcome.warm_up.failed(),
    );
    for (kind, count) in counts.errors() {
        println!("  {} {count}", kind.name());
    }
    println!(
        "{:>13} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "us", "mean", "p50", "p90", "p99", "p99.9", "max"
    );
    let histograms = &outcome.histograms;
    for (name, histogram) in [
        ("response", &histograms.response),
        ("response all", &histograms.response_all),
        ("service", &histograms.service),
        ("lag", &histograms.lag),
        ("connect", &histograms.connect),
    ] {
        print_row(name, histogram);
    }
    println!("Little's law: {:.4} (1 is right)", outcome.little.ratio());
    println!(
        "generator: {:.1} % of a core on CPU, {:.2} ms waiting for one, {} thread(s)",
        outcome.usage.cpu_share() * 100.0,
        outcome.usage.run_queue_ns as f64 / 1e6,
        outcome.threads,
    );
    println!(
        "closed while idle {}, left open by the server {}",
        outcome.closed_idle, outcome.left_open
    );
}

fn print_row(name: &str, histogram: &Histogram<u64>) {
    let us = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
    let at = |quantile| us(histogram.value_at_quantile(quantile));
    println!(
        "{name:>13} {:>9.1} {:>9} {:>9} {:>9} {:>9} {:>9}",
        histogram.mean() / 1e3,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        us(histogram.max())
    );
}
