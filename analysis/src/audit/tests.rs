//! Every rule is broken once, alone, in a record that is otherwise good.

mod good;
mod loaders;

use std::time::Duration;

use protocol::facts::HostState;
use protocol::load::{Arrivals, Little, LoadKind, MaxLoad, RateLoad, Think, UdpLoad, UsersLoad};
use protocol::summary::{Exit, KernelEvent, KernelEventKind, Summary};

use super::audit;
use crate::store::{BandRecord, FailureRecord, TrialRecord, TruthCheck, TruthRecord, Window};
use crate::store::{Rule, Validity};

use good::{S, good, summary};

/// Breaks the good record; the only reason found must be this one.
#[track_caller]
fn broken(rule: Rule, validity: Validity, text: &str, how: impl FnOnce(&mut TrialRecord, &mut Summary)) {
    let mut record = good();
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
fn a_host_that_did_not_calm_down_makes_a_trial_suspect() {
    broken(Rule::Band, Validity::Suspect, "300 s", |record, _| {
        record.band = Some(BandRecord {
            waited_ns: 300_500_000_000,
            outside: vec!["load 3.0, at most 0.5 is in band".into()],
            host: HostState::default(),
        });
    });
}

fn trouble(summary: &mut Summary, kind: KernelEventKind) {
    summary.kernel_log.is_readable = true;
    summary.kernel_log.troubles = vec![KernelEvent {
        kind,
        text: "its words".into(),
    }];
}

#[test]
fn what_the_kernel_complains_of_is_held_against_the_attempt() {
    let text = "said \"its words\"";
    broken(Rule::KernelLog, Validity::Invalid, text, |_, summary| {
        trouble(summary, KernelEventKind::OutOfMemory);
    });
    broken(Rule::KernelLog, Validity::Suspect, text, |_, summary| {
        trouble(summary, KernelEventKind::Throttled);
    });
}

fn fail(record: &mut TrialRecord, kind: &str, n: u64) {
    record.requests.ok -= n;
    record.requests.failed.insert(kind.to_owned(), n);
}

#[test]
fn a_good_record_is_valid() {
    assert_eq!(audit(&good()), crate::store::Verdict::default());
}

#[test]
fn an_attempt_that_did_not_run_to_its_end_is_invalid() {
    use Validity::Invalid;
    broken(Rule::Completed, Invalid, "aborted during start: no image", |r, _| {
        let (stage, why) = ("start".into(), "no image".into());
        r.failure = Some(FailureRecord { stage, why });
    });
    broken(Rule::Completed, Invalid, "READY never came", |r, _| r.ready = None);
    broken(Rule::Completed, Invalid, "no load was generated", |r, _| {
        r.latency = None
    });
    broken(Rule::Completed, Invalid, "SUMMARY never came", |r, _| r.summary = None);
}

#[test]
fn requests_that_are_missing_wrong_or_failed() {
    use Validity::{Invalid, Suspect};
    broken(
        Rule::RequestCount,
        Invalid,
        "4000 requests were due, rate x duration is 5000",
        |r, _| {
            (r.requests.planned, r.requests.total, r.requests.ok) = (4000, 4000, 4000);
        },
    );
    broken(
        Rule::RequestCount,
        Invalid,
        "4999 requests are recorded of 5000",
        |r, _| {
            (r.requests.total, r.requests.ok) = (4999, 4999);
        },
    );
    broken(
        Rule::Errors,
        Suspect,
        "6 of 5000 requests failed (0.12 %): 6 timeout",
        |r, _| fail(r, "timeout", 6),
    );
    broken(Rule::Errors, Invalid, "failed (50.02 %)", |r, _| {
        fail(r, "connect-refused", 2501)
    });
    broken(Rule::Errors, Invalid, "ran out of local resources", |r, _| {
        fail(r, "fd-exhausted", 1)
    });
    broken(Rule::Body, Invalid, "1 replies had another body", |r, _| {
        fail(r, "wrong-length", 1)
    });
    let mut few = good();
    fail(&mut few, "timeout", 5);
    assert_eq!(
        audit(&few).validity,
        Validity::Valid,
        "one in a thousand is not held against it"
    );
}

#[test]
fn random_arrivals_may_differ_in_number() {
    let mut record = good();
    let LoadKind::Rate(rate) = &mut record.load.kind else {
        panic!("the good record is of a rate");
    };
    rate.arrivals = Arrivals::Poisson;
    (record.requests.planned, record.requests.total, record.requests.ok) = (4900, 4900, 4900);
    assert_eq!(audit(&record).validity, Validity::Valid);
}

#[test]
fn the_generator_and_littles_law() {
    use Validity::{Invalid, Suspect};
    let law = |concurrency, mean_ns| Little {
        concurrency,
        throughput_per_s: 500.0,
        mean_ns,
    };
    broken(Rule::LittlesLaw, Suspect, "off by 20 %", |r, _| {
        r.little = Some(law(0.18, 300_000.0))
    });
    broken(Rule::LittlesLaw, Suspect, "were under way", |r, _| {
        r.little = Some(law(17.7, 300_000.0))
    });
    let mut short = good();
    short.little = Some(law(1.0, 9_000.0));
    assert_eq!(
        audit(&short).validity,
        Validity::Valid,
        "the clock's resolution rules such short times"
    );
    let lag = |r: &mut TrialRecord, ns| {
        if let Some(latency) = &mut r.latency {
            latency.lag.p99_ns = ns;
        }
    };
    broken(
        Rule::GeneratorLag,
        Suspect,
        "p99 lag of the generator is 0.510 ms, at most 0.500 ms",
        |r, _| lag(r, 510_000),
    );
    broken(
        Rule::GeneratorLag,
        Suspect,
        "median lag of the generator is 0.110 ms",
        |r, _| {
            if let Some(latency) = &mut r.latency {
                (latency.lag.p50_ns, latency.lag.p99_ns) = (110_000, 120_000);
            }
        },
    );
    broken(Rule::GeneratorLag, Invalid, "is 11.000 ms", |r, _| lag(r, 11_000_000));
    broken(Rule::Clock, Suspect, "known to 600.0 ms only", |r, _| {
        r.window = r.window.map(|w| Window {
            error_ns: 600_000_000,
            ..w
        });
    });
}

/// The limit follows from the order alone.
#[test]
fn lag_is_held_against_the_interval_of_the_order_and_not_against_the_platform() {
    let verdict = |kind: &LoadKind, lag_ns: u64, median_ns: u64| {
        let mut record = good();
        record.load.kind = kind.clone();
        let latency = record.latency.as_mut().unwrap();
        (latency.lag.p99_ns, latency.response.p50_ns) = (lag_ns, median_ns);
        // The record's counts are those of another load.
        let reasons = audit(&record).reasons.into_iter();
        reasons
            .filter(|reason| reason.rule == Rule::GeneratorLag)
            .map(|reason| reason.validity)
            .next()
            .unwrap_or(Validity::Valid)
    };
    let timing = *good().load.kind.timing();
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
        mix: vec![],
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
fn a_figure_that_is_the_generators_own() {
    use Validity::Suspect;
    // The good record's thread is as busy, but in an open loop.
    broken(
        Rule::GeneratorLimit,
        Suspect,
        "the throughput is the generator's own limit",
        |r, _| {
            r.load.kind = LoadKind::Max(MaxLoad {
                connections: 8,
                timing: *r.load.kind.timing(),
                keep_alive: false,
                cpus: vec![],
            });
        },
    );
    broken(
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
fn samples_that_are_missing() {
    use Validity::Suspect;
    broken(
        Rule::Samples,
        Suspect,
        "12 samples in 12 batches arrived of 13 in 13",
        |r, _| {
            (r.sampling.batches, r.sampling.samples) = (12, 12);
        },
    );
    broken(Rule::Samples, Suspect, "span 50 % of the window", |r, _| {
        r.resources[0].coverage = 0.5
    });
    broken(Rule::Samples, Suspect, "samples of tcp span 0 %", |r, _| {
        r.resources.clear()
    });
    broken(Rule::MissedTicks, Suspect, "missed 2 of 15 ticks", |_, s| {
        s.missed_ticks = 2
    });
}

#[test]
fn what_the_host_and_the_services_did() {
    use Validity::{Invalid, Suspect};
    broken(Rule::Steal, Suspect, "took 2.0 %", |_, s| s.host.steal_ticks = 20);
    broken(Rule::Steal, Invalid, "took 16.7 %", |_, s| s.host.steal_ticks = 200);
    let ends: [(Exit, Validity, &str); 6] = [
        (Exit::OutOfMemory, Invalid, "killed for memory"),
        (Exit::Signal(11), Invalid, "signal 11 ended tcp"),
        (Exit::Code(101), Suspect, "exit code 101"),
        (Exit::Code(139), Suspect, "exit code 139"),
        (Exit::Killed, Suspect, "was killed"),
        (Exit::Unknown, Suspect, "was not seen"),
    ];
    for (exit, validity, text) in ends {
        broken(Rule::ServiceEnd, validity, text, |_, s| s.services[0].exit = exit);
    }
    for exit in [Exit::Signal(15), Exit::Code(143)] {
        let mut record = good();
        record.summary.as_mut().unwrap().services[0].exit = exit;
        assert_eq!(audit(&record).validity, Validity::Valid, "it was asked to end");
    }
    broken(Rule::Leftovers, Invalid, "container jung-1", |_, s| {
        s.teardown.leftovers.push("container jung-1".into());
    });
}

#[test]
fn a_broken_promise_is_invalid_and_a_late_one_suspect() {
    let check = |wrong, binding| TruthCheck {
        what: "accepted commands reached their device".to_owned(),
        checked: 900,
        wrong,
        binding,
        slowest_ns: Some(3 * S),
    };
    let judged = |checks: Vec<TruthCheck>, problem: Option<&str>| {
        let mut record = good();
        record.truth = Some(TruthRecord {
            checks,
            problem: problem.map(str::to_owned),
        });
        audit(&record)
    };
    assert_eq!(judged(vec![check(0, true)], None).validity, Validity::Valid);
    let late = judged(vec![check(2, false)], None);
    assert_eq!(late.validity, Validity::Suspect);
    let text = &late.reasons[0].text;
    assert!(text.contains("2 of 900") && text.contains("3.0 s"), "{text}");
    assert_eq!(judged(vec![check(1, true)], None).validity, Validity::Invalid);
    let unread = judged(vec![], Some("no answer"));
    assert_eq!(
        (unread.validity, unread.reasons[0].rule),
        (Validity::Invalid, Rule::Truth)
    );
}
