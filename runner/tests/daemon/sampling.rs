//! Sampling: the limit of open files, and the edges of the measurement window.

use std::collections::BTreeSet;
use std::process::{Command as Process, Stdio};

use protocol::command::Edge;
use protocol::sample::{Counter, Sample, Subject};
use protocol::{Command, Event};

use crate::lab::{Lab, Runner, native, script_of};

/// The soft limit of open files of a process.
fn open_files(pid: u32) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

/// The runner, started with a soft limit of 300 and a hard one of 600 open files.
fn limited(lab: &Lab) -> Runner {
    let command = lab.command(&[]);
    let mut shell = Process::new("sh");
    shell
        .args(["-c", "ulimit -Sn 300 && ulimit -Hn 600 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    lab.start(shell)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_raises_its_limit_of_open_files_and_services_keep_the_original_one() {
    let lab = Lab::new().await;
    let runner = limited(&lab);
    runner.wait_until_serving(1).await;
    assert_eq!(open_files(runner.child.id()), 600);
    let mut controller = lab.controller("night", 1).await;
    let (attempt, _) = controller.ready(&native()).await;
    let mut limits = Vec::new();
    while limits.is_empty() {
        if let Event::Samples(samples) = controller.next().await.body {
            let processes = samples.samples.iter().filter_map(|sample| match &sample.of {
                Subject::Process(of) => Some(of.pid),
                _ => None,
            });
            limits.extend(processes.map(open_files));
        }
    }
    assert!(limits.iter().all(|&limit| limit == 300), "{limits:?}");
    controller.stop(attempt).await;
    assert_eq!(controller.words(1).await, ["SUMMARY"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_born_after_ready_are_sampled() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut run = native();
    let script = script_of(&mut run);
    *script = format!("(while :; do sleep 0.5; done) & {script}");
    let (attempt, _) = controller.ready(&run).await;
    let mut pids = BTreeSet::new();
    // The shell's loop and the server exist at READY.
    while pids.len() < 6 {
        if let Event::Samples(samples) = controller.next().await.body {
            pids.extend(samples.samples.iter().filter_map(|sample| match &sample.of {
                Subject::Process(of) => Some(of.pid),
                _ => None,
            }));
        }
    }
    controller.stop(attempt).await;
    let Event::Summary(summary) = controller.answer().await else {
        panic!("not SUMMARY")
    };
    let summed: BTreeSet<u32> = summary.services[0].pids.iter().copied().collect();
    assert!(pids.is_subset(&summed), "{pids:?} of {summed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_counters_and_page_tables_are_read_at_an_edge_of_the_window() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut run = native();
    // Long enough that there is no tick.
    run.sampling.interval_ms = 10_000;
    let (attempt, _) = controller.ready(&run).await;
    controller.send(Some(attempt), Command::Edge(Edge {})).await;
    // An edge without an attempt changes nothing.
    controller.send(None, Command::Edge(Edge {})).await;
    controller.stop(attempt).await;
    let mut samples: Vec<Sample> = Vec::new();
    loop {
        match controller.next().await.body {
            Event::Samples(batch) => samples.extend(batch.samples),
            Event::Summary(summary) if summary.samples == samples.len() as u64 => break,
            // Samples have a topic of their own and may arrive later.
            Event::Summary(summary) => {
                while (samples.len() as u64) < summary.samples {
                    if let Event::Samples(batch) = controller.next().await.body {
                        samples.extend(batch.samples);
                    }
                }
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let of_host = samples.iter().filter(|sample| matches!(sample.of, Subject::Host(_)));
    assert_eq!(of_host.count(), 3, "at READY, at the edge, and at STOP");
    let has = |sample: &&Sample, counter| sample.counters.get(counter).is_some();
    let processes: Vec<&Sample> = samples
        .iter()
        .filter(|sample| matches!(sample.of, Subject::Process(_)))
        .collect();
    let full = processes
        .iter()
        .filter(|sample| has(sample, Counter::UserTicks))
        .count();
    assert!(full >= 3, "{processes:?}");
    assert!(processes.iter().filter(|sample| has(sample, Counter::PssBytes)).count() >= 2);
}
