//! Creates, audits and stores the record of an attempt with its raw data.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::Failed;
use protocol::facts::HostFacts;

use super::attempt::AttemptOutcome;
use super::spec::AttemptSpec;
use super::state::{Cause, End};
use crate::peer::clock::PeerClock;
use analysis::audit::audit;
use analysis::stats::breakdown::{BreakdownScope, resource_breakdown};
use analysis::stats::usage::{SampleWindow, ServiceUsage, usage};
use analysis::store::{
    AttemptWriter, ClockOffset, ExternalRecord, FORMAT, FailureRecord, FileSum, GeneratorRecord, JtlContext,
    LabelRecord, LabelTallies, Latency, LoaderRecord, RampRecord, RequestCounts, RunFolder, SamplingRecord,
    SettleRecord, StoreError, TrialRecord, Verdict, Window, external_response,
};
use loader::Outcome;

/// Stores an attempt. Returns the record with its verdict, and the checksums of the files for the journal.
///
/// # Errors
/// [`StoreError`].
pub fn store(
    folder: &RunFolder,
    spec: &AttemptSpec,
    mut attempt: AttemptOutcome,
    facts: &HostFacts,
    settle: Option<SettleRecord>,
) -> Result<(TrialRecord, BTreeMap<String, FileSum>), StoreError> {
    let mut writer = folder.begin(&spec.key)?;
    let outcome = attempt.load.outcome.take();
    let mut labels = Vec::new();
    if let Some(outcome) = &outcome {
        labels = store_requests(&mut writer, spec, &attempt, outcome)?;
        writer.histograms(&outcome.histograms, length(outcome))?;
        if let Some(external) = &outcome.external {
            writer.outputs(&external.outputs)?;
        }
    }
    writer.samples(attempt.batches.as_slice())?;
    if let End::Failed(Failed { logs, .. }) = &attempt.end {
        writer.logs(logs)?;
    }
    let mut record = record(spec, &attempt, outcome.as_ref(), facts);
    record.labels = labels;
    record.settle = settle;
    record.verdict = audit(&record);
    let files = writer.finish(&mut record)?;
    Ok((record, files))
}

/// Writes every request; returns the figures per label.
fn store_requests(
    writer: &mut AttemptWriter,
    spec: &AttemptSpec,
    attempt: &AttemptOutcome,
    outcome: &Outcome,
) -> Result<Vec<LabelRecord>, StoreError> {
    let context = JtlContext {
        label: format!("{}/{}", spec.key.trial.cell.load, spec.key.trial.cell.workload),
        labels: outcome.labels.clone(),
        groups: groups(&attempt.load.loaders),
        origin_epoch_ns: outcome.started_unix_ms * 1_000_000,
    };
    let mut labels = LabelTallies::new(&outcome.labels);
    let (requests, failed) = match outcome.requests.read() {
        Ok(requests) => (Some(requests), None),
        Err(error) => (None, Some(Err(error))),
    };
    let requests = requests.into_iter().flatten().chain(failed);
    let counted = requests.inspect(|request| request.iter().for_each(|request| labels.add(request)));
    writer.requests(counted, &context)?;
    Ok(labels.records())
}

fn record(spec: &AttemptSpec, attempt: &AttemptOutcome, outcome: Option<&Outcome>, facts: &HostFacts) -> TrialRecord {
    let clock = PeerClock::estimate(&attempt.load.exchanges);
    let window = outcome.and_then(|outcome| measurement_window(outcome, attempt, clock.as_ref()));
    let interval_ms = spec.run.sampling.interval_ms;
    let sample_window = window.map(|window| SampleWindow {
        start_ns: window.runner_start_ns,
        end_ns: window.runner_end_ns,
        interval_ns: interval_ms * 1_000_000,
        ticks_per_s: facts.clock_ticks_per_s,
    });
    let samples: Vec<_> = attempt
        .batches
        .as_slice()
        .iter()
        .flat_map(|batch| batch.samples.iter().cloned())
        .collect();
    let resources: Vec<ServiceUsage> = sample_window.map(|window| usage(&samples, window)).unwrap_or_default();
    let breakdown = sample_window.and_then(|window| {
        let scope = BreakdownScope {
            window,
            auxiliary: &spec.auxiliary(),
            idle: attempt.ready.as_ref().and_then(|ready| ready.idle.as_ref()),
        };
        resource_breakdown(&samples, &scope)
    });
    TrialRecord {
        format: FORMAT,
        key: spec.key.clone(),
        attempt_id: spec.attempt,
        index: spec.index,
        platform: spec.run.platform.clone(),
        started: attempt.started,
        ended: attempt.ended,
        settle: None,
        load: spec.load.without_secrets(),
        ready: attempt.ready.clone(),
        clock: clock.as_ref().map(|clock| clock_offset(clock, attempt)),
        window,
        requests: outcome.map(counts).unwrap_or_default(),
        little: outcome
            .filter(|outcome| has_requests(outcome))
            .map(|outcome| outcome.little),
        generator: outcome
            .filter(|outcome| outcome.external.is_none())
            .map(GeneratorRecord::of),
        loaders: attempt.load.loaders.clone(),
        external: outcome
            .and_then(|outcome| outcome.external.as_ref())
            .map(ExternalRecord::of),
        latency: outcome.map(latency),
        labels: Vec::new(),
        ramp: outcome.and_then(|outcome| outcome.ramp.as_ref()).map(RampRecord::of),
        readback: attempt.load.readback.clone(),
        auxiliary: spec.auxiliary(),
        sampling: SamplingRecord {
            interval_ms,
            batches: attempt.batches.as_slice().len() as u64,
            samples: samples.len() as u64,
            ticks_per_s: facts.clock_ticks_per_s,
        },
        udp: outcome.and_then(|outcome| outcome.udp.clone()),
        tls: outcome.and_then(|outcome| outcome.tls.clone()),
        resources,
        breakdown,
        summary: match &attempt.end {
            End::Summary(_, summary) => Some(summary.clone()),
            _ => None,
        },
        failure: failure(&attempt.end),
        verdict: Verdict::from_reasons(vec![]),
        files: BTreeMap::new(),
    }
}

/// The controller's clock starts with the attempt, so the offset is the runner's reading at that instant.
fn clock_offset(clock: &PeerClock, attempt: &AttemptOutcome) -> ClockOffset {
    ClockOffset {
        offset_ns: clock.at(attempt.began).cast_signed(),
        error_ns: clock.error_ns(),
        exchanges: u32::try_from(attempt.load.exchanges.len()).unwrap_or(u32::MAX),
    }
}

/// The measurement window on both clocks; `None` if the runner's clock is unknown.
fn measurement_window(outcome: &Outcome, attempt: &AttemptOutcome, clock: Option<&PeerClock>) -> Option<Window> {
    let (clock, ready) = (clock?, attempt.ready.as_ref()?);
    // The requests of each loader count from its own start.
    let loaders = attempt
        .load
        .loaders
        .iter()
        .map(LoaderRecord::max_skew_ns)
        .max()
        .unwrap_or(0);
    let since_ready = |offset_ns| {
        let instant = outcome.started + Duration::from_nanos(offset_ns);
        clock.at(instant).saturating_sub(ready.clock_ns)
    };
    Some(Window {
        origin_epoch_ns: outcome.started_unix_ms * 1_000_000,
        start_ns: outcome.window.start,
        end_ns: outcome.window.end,
        runner_start_ns: since_ready(outcome.window.start),
        runner_end_ns: since_ready(outcome.window.end),
        error_ns: clock.error_ns().saturating_add(loaders),
    })
}

/// The threads of each loader, in order; empty if the controller generated the load.
fn groups(loaders: &[LoaderRecord]) -> Vec<(String, usize)> {
    let threads = |loader: &LoaderRecord| usize::try_from(loader.generator.threads).unwrap_or(usize::MAX);
    let group = |loader: &LoaderRecord| (loader.host.to_string(), threads(loader));
    loaders.iter().map(group).collect()
}

/// Whether every request is known.
fn has_requests(outcome: &Outcome) -> bool {
    outcome.external.as_ref().is_none_or(|external| external.requests)
}

fn latency(outcome: &Outcome) -> Latency {
    let mut latency = Latency::of(&outcome.histograms);
    if let Some(response) = external_response(outcome) {
        latency.response = response;
    }
    latency
}

fn length(outcome: &Outcome) -> Duration {
    Duration::from_nanos(outcome.window.end - outcome.window.start)
}

fn counts(outcome: &Outcome) -> RequestCounts {
    RequestCounts::of(&outcome.counts, &outcome.warm_up)
}

/// Why the attempt was aborted; `None`: it completed.
fn failure(end: &End) -> Option<FailureRecord> {
    let (stage, why) = match end {
        End::Summary(Cause::LoadDone, _) => return None,
        End::Summary(Cause::LoadFailed(why), _) => ("load".to_owned(), why.clone()),
        End::Summary(Cause::Deadline(phase), _) => (phase.name().to_owned(), "deadline exceeded".to_owned()),
        End::Summary(Cause::Cancelled, _) => ("cancelled".to_owned(), "interrupted by the user".to_owned()),
        End::Refused(refused) => ("refused".to_owned(), refused.why.clone()),
        End::Failed(failed) => (format!("runner, {}", failed.stage.as_str()), failed.why.clone()),
        End::NoAnswer(phase) => (phase.name().to_owned(), "the runner did not answer".to_owned()),
    };
    Some(FailureRecord { stage, why })
}
