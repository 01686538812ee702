//! Every rule is violated once, alone, in an otherwise valid record.

mod loaders;
mod valid;

use std::time::Duration;

use protocol::facts::HostState;
use protocol::load::{Arrivals, Little, LoadKind, MaxLoad, RateLoad, Think, UdpLoad, UsersLoad};
use protocol::summary::{Exit, KernelEvent, KernelEventKind, Summary};

use super::audit;
use crate::store::{FailureRecord, ReadbackCheck, ReadbackRecord, SettleRecord, TrialRecord, Window};
use crate::store::{Rule, Validity};

use valid::{S, summary, valid_record};

/// Modifies the valid record; the audit must give exactly this reason.
#[track_caller]
fn violates(rule: Rule, validity: Validity, text: &str, how: impl FnOnce(&mut TrialRecord, &mut Summary)) {
    let mut record = valid_record();
    let mut summary = summary();
    how(&mut record, &mut summary);
    record.summary = record.summary.and(Some(summary));
    let verdict = audit(&record);
    let found: Vec<_> = verdict.reasons.iter().map(|r| (r.rule, r.validity)).collect();
    assert_eq!(found, [(rule, validity)], "{verdict:?}");
    assert_eq!(verdict.validity, validity);
    assert!(verdict.reasons[0].text.contains(text), "{verdict:?}");
}

#[test]
fn a_host_outside_the_limits_makes_a_trial_suspect() {
    violates(Rule::Settle, Validity::Suspect, "300 s", |record, _| {
        record.settle = Some(SettleRecord {
            waited_ns: 300_500_000_000,
            outside: vec!["load average 3.0 exceeds 0.5".into()],
            host: HostState::default(),
        });
    });
}

fn trouble(summary: &mut Summary, kind: KernelEventKind) {
    summary.kernel_log.is_readable = true;
    summary.kernel_log.troubles = vec![KernelEvent {
        kind,
        text: "a message".into(),
    }];
}

#[test]
fn trouble_in_the_kernel_log_is_a_reason() {
    let text = "kernel log: \"a message\"";
    violates(Rule::KernelLog, Validity::Invalid, text, |_, summary| {
        trouble(summary, KernelEventKind::OutOfMemory);
    });
    violates(Rule::KernelLog, Validity::Suspect, text, |_, summary| {
        trouble(summary, KernelEventKind::Throttled);
    });
}

fn fail(record: &mut TrialRecord, kind: &str, n: u64) {
    record.requests.ok -= n;
    record.requests.failed.insert(kind.to_owned(), n);
}

#[test]
fn the_valid_record_is_valid() {
    assert_eq!(audit(&valid_record()), crate::store::Verdict::default());
}

#[test]
fn an_incomplete_attempt_is_invalid() {
    use Validity::Invalid;
    violates(Rule::Completed, Invalid, "aborted during start: no image", |r, _| {
        let (stage, why) = ("start".into(), "no image".into());
        r.failure = Some(FailureRecord { stage, why });
    });
    violates(Rule::Completed, Invalid, "READY never arrived", |r, _| r.ready = None);
    violates(Rule::Completed, Invalid, "no load was generated", |r, _| {
        r.latency = None
    });
    violates(Rule::Completed, Invalid, "SUMMARY never arrived", |r, _| {
        r.summary = None
    });
}

#[test]
fn missing_wrong_or_failed_requests() {
    use Validity::{Invalid, Suspect};
    violates(
        Rule::RequestCount,
        Invalid,
        "4000 requests were scheduled, rate x duration is 5000",
        |r, _| {
            (r.requests.planned, r.requests.total, r.requests.ok) = (4000, 4000, 4000);
        },
    );
    violates(
        Rule::RequestCount,
        Invalid,
        "4999 of 5000 scheduled requests were recorded",
        |r, _| {
            (r.requests.total, r.requests.ok) = (4999, 4999);
        },
    );
    violates(
        Rule::Errors,
        Suspect,
        "6 of 5000 requests failed (0.12 %): 6 timeout",
        |r, _| fail(r, "timeout", 6),
    );
    violates(Rule::Errors, Invalid, "failed (50.02 %)", |r, _| {
        fail(r, "connect-refused", 2501)
    });
    violates(Rule::Errors, Invalid, "ran out of local resources", |r, _| {
        fail(r, "fd-exhausted", 1)
    });
    violates(Rule::Body, Invalid, "1 replies had an unexpected body", |r, _| {
        fail(r, "wrong-length", 1)
    });
    let mut few = valid_record();
    fail(&mut few, "timeout", 5);
    assert_eq!(
        audit(&few).validity,
        Validity::Valid,
        "0.1 % of failed requests is allowed"
    );
}

#[test]
fn poisson_arrivals_may_vary_in_number() {
    let mut record = valid_record();
    let LoadKind::Rate(rate) = &mut record.load.kind else {
        panic!("the valid record has a load of kind rate");
    };
    rate.arrivals = Arrivals::Poisson;
    (record.requests.planned, record.requests.total, record.requests.ok) = (4900, 4900, 4900);
    assert_eq!(audit(&record).validity, Validity::Valid);
}

#[test]
fn lag_clock_and_littles_law() {
    use Validity::{Invalid, Suspect};
    let law = |concurrency, mean_ns| Little {
        concurrency,
        throughput_per_s: 500.0,
        mean_ns,
    };
    violates(Rule::LittlesLaw, Suspect, "off by 20 %", |r, _| {
        r.little = Some(law(0.18, 300_000.0))
    });
    violates(Rule::LittlesLaw, Suspect, "concurrency 17.700", |r, _| {
        r.little = Some(law(17.7, 300_000.0))
    });
    let mut short = valid_record();
    short.little = Some(law(1.0, 9_000.0));
    assert_eq!(
        audit(&short).validity,
        Validity::Valid,
        "the law is not checked for such short times"
    );
    let lag = |r: &mut TrialRecord, ns| {
        if let Some(latency) = &mut r.latency {
            latency.lag.p99_ns = ns;
        }
    };
    violates(
        Rule::GeneratorLag,
        Suspect,
        "p99 lag of the load generator: 0.510 ms (limit 0.500 ms)",
        |r, _| lag(r, 510_000),
    );
    violates(
        Rule::GeneratorLag,
        Suspect,
        "median lag of the load generator: 0.110 ms",
        |r, _| {
            if let Some(latency) = &mut r.latency {
                (latency.lag.p50_ns, latency.lag.p99_ns) = (110_000, 120_000);
            }
        },
    );
    violates(Rule::GeneratorLag, Invalid, ": 11.000 ms", |r, _| lag(r, 11_000_000));
    violates(Rule::Clock, Suspect, "error of 600.0 ms", |r, _| {
        r.window = r.window.map(|w| Window {
            error_ns: 600_000_000,
            ..w
        });
    });
}

#[test]
fn the_lag_limit_depends_on_the_schedule_only() {
    let verdict = |kind: &LoadKind, lag_ns: u64, median_ns: u64| {
        let mut record = valid_record();
        record.load.kind = kind.clone();
        let latency = record.latency.as_mut().unwrap();
        (latency.lag.p99_ns, latency.response.p50_ns) = (lag_ns, median_ns);
        // The counts in the record belong to another load, so other rules object too.
        let reasons = audit(&record).reasons.into_iter();
        reasons
            .filter(|reason| reason.rule == Rule::GeneratorLag)
            .map(|reason| reason.validity)
            .next()
            .unwrap_or(Validity::Valid)
    };
    let timing = *valid_record().load.kind.timing();
    let rate = |rate_per_s| {
        LoadKind::Rate(RateLoad {
            rate_per_s,
            timing,
            arrivals: Arrivals::Uniform,
            keep_alive: false,
            cpus: vec![],
        })
    };
    let udp = LoadKind::Udp(UdpLoad {
        packets: 5000,
        size: 8,
        pace: Duration::from_micros(2),
        window: None,
        search: None,
        timing,
        cpus: vec![],
    });
    let users = LoadKind::Users(UsersLoad {
        users: 1,
        timing,
        requests: None,
        think: Think::Constant(Duration::ZERO),
        ramp_up: Duration::ZERO,
        keep_alive: true,
        cpus: vec![],
    });
    let limits = [
        (rate(10.0), 500_000),
        (rate(500.0), 500_000),
        (rate(1000.0), 250_000),
        (rate(10_000.0), 100_000),
        (udp, 100_000),
        (users, 500_000),
    ];
    for (kind, limit_ns) in limits {
        for median_ns in [20_000, 1_000_000, 1_000_000_000] {
            let found = [limit_ns, limit_ns + 1, 10_000_001].map(|lag_ns| verdict(&kind, lag_ns, median_ns));
            assert_eq!(
                found,
                [Validity::Valid, Validity::Suspect, Validity::Invalid],
                "{kind:?} {median_ns}"
            );
        }
    }
}

#[test]
fn the_load_generator_is_the_limit() {
    use Validity::Suspect;
    // The thread of the valid record is as busy, but in an open loop.
    violates(
        Rule::GeneratorLimit,
        Suspect,
        "the load generator limits the throughput",
        |r, _| {
            r.load.kind = LoadKind::Max(MaxLoad {
                connections: 8,
                timing: *r.load.kind.timing(),
                keep_alive: false,
                cpus: vec![],
            });
        },
    );
    violates(
        Rule::GeneratorLimit,
        Suspect,
        "waited 11 % of the time for a CPU",
        |r, _| {
            if let Some(generator) = &mut r.generator {
                generator.run_queue_share = 0.11;
            }
        },
    );
}

#[test]
fn missing_samples() {
    use Validity::Suspect;
    violates(
        Rule::Samples,
        Suspect,
        "received 12 samples in 12 batches of 13 in 13",
        |r, _| {
            (r.sampling.batches, r.sampling.samples) = (12, 12);
        },
    );
    violates(Rule::Samples, Suspect, "span 50 % of the window", |r, _| {
        r.resources[0].coverage = 0.5
    });
    violates(Rule::Samples, Suspect, "samples of tcp span 0 %", |r, _| {
        r.resources.clear()
    });
    violates(Rule::MissedTicks, Suspect, "missed 2 of 15 ticks", |_, s| {
        s.missed_ticks = 2
    });
}

#[test]
fn steal_exits_and_leftovers() {
    use Validity::{Invalid, Suspect};
    violates(Rule::Steal, Suspect, "steal: 2.0 %", |_, s| s.host.steal_ticks = 20);
    violates(Rule::Steal, Invalid, "steal: 16.7 %", |_, s| s.host.steal_ticks = 200);
    let ends: [(Exit, Validity, &str); 6] = [
        (Exit::OutOfMemory, Invalid, "killed for memory"),
        (Exit::Signal(11), Invalid, "tcp was killed by signal 11"),
        (Exit::Code(101), Suspect, "exited with code 101"),
        (Exit::Code(139), Suspect, "exited with code 139"),
        (Exit::Killed, Suspect, "was killed"),
        (Exit::Unknown, Suspect, "was not observed"),
    ];
    for (exit, validity, text) in ends {
        violates(Rule::ServiceEnd, validity, text, |_, s| s.services[0].exit = exit);
    }
    for exit in [Exit::Signal(15), Exit::Code(143)] {
        let mut record = valid_record();
        record.summary.as_mut().unwrap().services[0].exit = exit;
        assert_eq!(audit(&record).validity, Validity::Valid, "SIGTERM is the normal end");
    }
    violates(Rule::Leftovers, Invalid, "container jung-1", |_, s| {
        s.teardown.leftovers.push("container jung-1".into());
    });
}

#[test]
fn binding_violations_are_invalid_and_others_suspect() {
    let check = |wrong, binding| ReadbackCheck {
        what: "accepted commands reached their device".to_owned(),
        checked: 900,
        wrong,
        binding,
        slowest_ns: Some(3 * S),
    };
    let verdict_of = |checks: Vec<ReadbackCheck>, problem: Option<&str>| {
        let mut record = valid_record();
        record.readback = Some(ReadbackRecord {
            checks,
            problem: problem.map(str::to_owned),
        });
        audit(&record)
    };
    assert_eq!(verdict_of(vec![check(0, true)], None).validity, Validity::Valid);
    let late = verdict_of(vec![check(2, false)], None);
    assert_eq!(late.validity, Validity::Suspect);
    let text = &late.reasons[0].text;
    assert!(text.contains("2 of 900") && text.contains("3.0 s"), "{text}");
    assert_eq!(verdict_of(vec![check(1, true)], None).validity, Validity::Invalid);
    let unread = verdict_of(vec![], Some("no answer"));
    assert_eq!(
        (unread.validity, unread.reasons[0].rule),
        (Validity::Invalid, Rule::Readback)
    );
}
