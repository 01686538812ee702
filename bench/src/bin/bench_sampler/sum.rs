//! The sum of the four views compared with the whole host, with the tcp service under load: as a process, and in a container, there also compared with
//! `docker stats`.

use std::time::Duration;

use deploy::docker::Docker;
use deploy::native::Native;
use deploy::{DeploymentSpec, Driver, Host};
use protocol::AttemptId;
use protocol::sample::{Counter, Sample, Subject};
use protocol::spec::{DockerSpec, NativeSpec, PlatformSpec, Resources, WorkloadService};
use runner::sampler::{Service, Targets};

use super::burn::{Watch, grown};
use super::disturb::{Load, probe, workload};
use super::table::Table;

const SECONDS: u64 = 20;

/// Both platforms.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let state = tempfile_dir()?;
    let host = Host {
        runner: "bench".parse()?,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        workload: workload()?,
        state: state.clone(),
    };
    let native = Native::new(&host);
    runtime.block_on(one(table, &native, PlatformSpec::Native(NativeSpec {}), &host))?;
    let docker = Docker::new(&DockerSpec::default(), &host);
    let is_there = runtime.block_on(docker.probe()).unmet.is_none();
    if is_there {
        runtime.block_on(one(table, &docker, PlatformSpec::Docker(DockerSpec::default()), &host))?;
    } else {
        table.note("sum of the views, container", "no Docker engine");
    }
    let _ = std::fs::remove_dir_all(state);
    Ok(())
}

fn tempfile_dir() -> anyhow::Result<std::path::PathBuf> {
    let path = std::env::temp_dir().join(format!("jung-bench-{}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

async fn one<D: Driver>(table: &mut Table, driver: &D, platform: PlatformSpec, host: &Host) -> anyhow::Result<()> {
    let word = platform.kind().as_str();
    let name: protocol::Name = "tcp".parse()?;
    let workload = WorkloadService {
        args: ["tcp", "--listen", "{listen}"].map(str::to_owned).to_vec(),
        port: Some(18_473),
        ready: probe(),
    };
    let deployment = DeploymentSpec {
        attempt: AttemptId::fresh(),
        platform,
        services: vec![deploy::Service::workload(name.clone(), workload)],
        resources: Resources::default(),
        logs: host.state.join("logs"),
        grace: Duration::from_secs(2),
    };
    driver.prepare(&deployment).await?;
    let running = driver.start(&deployment).await?;
    let started = running.services().to_vec();
    deploy::ready::wait(&deployment, &host.runner, &started, Duration::from_secs(30)).await?;
    let endpoint = started[0].endpoint.ok_or_else(|| anyhow::anyhow!("no endpoint"))?;
    let targets = Targets {
        services: vec![Service::new(name.clone(), running.pids(&name))],
        platform: running.platform_processes(),
    };
    let load = Load::begin(endpoint, 2, None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let meter = running.meter();
    let before = match &meter {
        Some(meter) => meter.read().await,
        None => Vec::new(),
    };
    let watch = Watch::of(targets, 1000)?;
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = match &meter {
        Some(meter) => meter.read().await,
        None => Vec::new(),
    };
    let (samples, _) = tokio::task::spawn_blocking(move || watch.end()).await?;
    let replies = load.end();
    running.stop().await;
    sum(table, word, &samples, replies);
    if let (Some((_, before)), Some((_, after))) = (before.first(), after.first()) {
        engine(table, &samples, before, after);
    }
    Ok(())
}

fn sum(table: &mut Table, word: &str, samples: &[Sample], replies: u64) {
    let tick_ns = 1e7;
    let ns = |is: fn(&Subject) -> bool| of_each(samples, is, Counter::CpuNs);
    let ticks = |is: fn(&Subject) -> bool, counters: &[Counter]| -> f64 {
        counters
            .iter()
            .map(|&counter| of_each(samples, is, counter) * tick_ns)
            .sum()
    };
    let is_rest = |subject: &Subject| matches!(subject, Subject::OtherProcesses(_));
    let is_host = |subject: &Subject| matches!(subject, Subject::Host(_));
    let service = match ns(|subject| matches!(subject, Subject::Cgroup(_))) {
        0.0 => ns(|subject| matches!(subject, Subject::Process(_))),
        cgroup => cgroup,
    };
    let platform = ns(|subject| matches!(subject, Subject::Platform(_)));
    // This process is the load generator and contains the sampler.
    let runner = ns(|subject| matches!(subject, Subject::Runner(_)));
    let rest = ticks(is_rest, &[Counter::UserTicks, Counter::SystemTicks]);
    let busy = [
        Counter::UserTicks,
        Counter::NiceTicks,
        Counter::SystemTicks,
        Counter::IrqTicks,
        Counter::SoftirqTicks,
    ];
    let (length_ns, cpus) = host_span(samples);
    let not_in_use = ticks(
        is_host,
        &[Counter::IdleTicks, Counter::IowaitTicks, Counter::StealTicks],
    );
    let busy = ticks(is_host, &busy);
    let in_use = length_ns * cpus - not_in_use;
    // By the scheduler's clock, like the parts; without it, what is neither idle nor steal, which may be more.
    let host = match ns(is_host) {
        0.0 => in_use,
        tasks => tasks,
    };
    let percent = |ns: f64| ns / length_ns * 100.0;
    let of_host = |ns: f64| (host - ns) / host * 100.0;
    let parts = service + platform + runner + rest;
    let shown = format!(
        "{:+.2} % of {:.1} % of a core in use: service {:.1}, platform {:.1}, runner and load {:.1}, kernel and others {:.1}; {replies} replies",
        of_host(parts),
        percent(host),
        percent(service),
        percent(platform),
        percent(runner),
        percent(rest)
    );
    table.row(
        &format!("sum of the views under load, {word}"),
        "remainder < 3 %",
        &shown,
        of_host(parts).abs() < 3.0,
    );
    let shown = format!(
        "busy by ticks {:.1} % of a core, in no tick {:.1} % (in use or idle), idle, iowait and steal {:.1} % of {cpus} CPUs",
        percent(busy),
        percent(in_use - busy),
        percent(not_in_use)
    );
    table.note("- the host, by /proc/stat", &shown);
}

/// From the first to the last sample of the host, ns, and its number of CPUs.
fn host_span(samples: &[Sample]) -> (f64, f64) {
    let mut of_host = samples.iter().filter(|sample| matches!(sample.of, Subject::Host(_)));
    let (Some(first), Some(last)) = (of_host.next(), of_host.next_back()) else {
        return (1.0, 1.0);
    };
    let cpus = last.counters.get(Counter::Cpus).unwrap_or(1);
    ((last.offset_ns - first.offset_ns) as f64, cpus as f64)
}

/// The growth of a counter, summed over all subjects of a kind.
fn of_each(samples: &[Sample], is: fn(&Subject) -> bool, counter: Counter) -> f64 {
    let subjects: std::collections::BTreeSet<&Subject> =
        samples.iter().map(|sample| &sample.of).filter(|of| is(of)).collect();
    subjects
        .into_iter()
        .filter_map(|subject| grown(samples, |of| of == subject, counter))
        .sum()
}

/// The engine's own figures compared with the sampler's.
fn engine(table: &Table, samples: &[Sample], before: &protocol::sample::Counters, after: &protocol::sample::Counters) {
    let get = |counters: &protocol::sample::Counters, counter| counters.get(counter).unwrap_or(0) as f64;
    let theirs = get(after, Counter::CpuNs) - get(before, Counter::CpuNs);
    let ours = of_each(samples, |subject| matches!(subject, Subject::Cgroup(_)), Counter::CpuNs);
    let engine = of_each(
        samples,
        |subject| matches!(subject, Subject::Platform(_)),
        Counter::CpuNs,
    );
    let shown = format!(
        "{:.2} s of CPU between its two readings, {:.2} s between our samples, and {:.2} s of the engine itself that it does not report; {:.2} MiB",
        theirs / 1e9,
        ours / 1e9,
        engine / 1e9,
        get(after, Counter::ShownBytes) / 1_048_576.0
    );
    table.note("- docker stats of the container", &shown);
}
