//! Our engines, on the generators' core.

use std::time::Duration;

use loader::{
    BodyRule, Connections, Control, Engine, Expect, KeptAwake, Max, MaxPlan, Outcome, Rate, RatePlan, Target,
};
use protocol::load::Wait;

use super::Bench;
use super::servers::{BODY, Server};

/// A thousand letters A from a server.
pub fn target(address: std::net::SocketAddr) -> Target {
    let count = BODY as u64;
    let expect = Expect::ok(BodyRule::Repeat { byte: b'A', count });
    Target {
        address,
        path: "/".to_owned(),
        expect,
    }
}

/// As fast as it goes.
pub fn max(bench: &Bench, server: &Server, connections: u32, keep_alive: bool) -> anyhow::Result<Outcome> {
    let plan = MaxPlan {
        warm_up: Duration::from_millis(300),
        timeout: Duration::from_secs(10),
        keep_alive,
        cpus: vec![bench.cpu],
        ..MaxPlan::new(connections, Duration::from_secs_f64(bench.seconds))
    };
    Ok(Max::new(&plan, &target(server.address))?.run(&Control::new())?)
}

/// At a rate on a pool of connections.
pub fn rate(bench: &Bench, server: &Server, rate: f64, seconds: f64, pool: u32) -> anyhow::Result<Outcome> {
    rate_by(Wait::Sleep, bench, server, (rate, seconds), pool)
}

/// The same with threads that may not sleep.
pub fn rate_by(
    wait: Wait,
    bench: &Bench,
    server: &Server,
    (rate, seconds): (f64, f64),
    pool: u32,
) -> anyhow::Result<Outcome> {
    let plan = RatePlan {
        warm_up: Duration::from_secs(1),
        timeout: Duration::from_secs(10),
        connections: Connections::KeepAlive {
            pool,
            at_most: pool.max(16) * 4,
        },
        cpus: vec![bench.cpu],
        wait,
        ..RatePlan::new(rate, Duration::from_secs_f64(seconds))
    };
    Ok(Rate::new(plan, &target(server.address))?.run(&Control::new())?)
}

/// As trials are: the CPUs kept awake, at a rate on a pool of 32 connections, with threads that are scheduled in real time or like any other.
pub fn rate_scheduled(real_time: bool, bench: &Bench, server: &Server, rate: f64) -> anyhow::Result<Outcome> {
    let plan = RatePlan {
        warm_up: Duration::from_secs(1),
        connections: Connections::KeepAlive {
            pool: 32,
            at_most: 2000,
        },
        cpus: vec![bench.cpu],
        real_time,
        ..RatePlan::new(rate, Duration::from_secs_f64(bench.seconds))
    };
    let engine = Box::new(Rate::new(plan, &target(server.address))?);
    Ok(KeptAwake(engine).run(&Control::new())?)
}

/// CPU time of the engine for each request, us.
pub fn cpu_us(outcome: &Outcome) -> f64 {
    let all = outcome.counts.due + outcome.warm_up.due;
    outcome.usage.cpu_ns as f64 / 1e3 / all.max(1) as f64
}

/// What failed, in words; empty if nothing did.
pub fn failures(outcome: &Outcome) -> String {
    let kinds: Vec<_> = outcome
        .counts
        .errors()
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    if kinds.is_empty() {
        String::new()
    } else {
        format!(" (FAILED: {})", kinds.join(", "))
    }
}
