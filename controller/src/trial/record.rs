//! What came of an attempt, as the record that is stored, judged and written with its raw data.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::event::Failed;
use protocol::facts::HostFacts;

use super::drive::Driven;
use super::order::Order;
use crate::conduct::clock::RunnerClock;
use crate::conduct::state::{Cause, End};
use analysis::audit::audit;
use analysis::stats::ledger::{Frame, ledger};
use analysis::stats::usage::{Cut, ServiceUse, usage};
use analysis::store::Verdict;
use analysis::store::{
    AttemptWriter, BandRecord, ClockOffset, ExternalRecord, FORMAT, FailureRecord, FileSum, GeneratorRecord,
    JtlContext, LabelRecord, LabelTallies, Latency, LoaderRecord, RampRecord, RequestCounts, RunFolder, SamplingRecord,
    StoreError, TrialRecord, Window, external,
};
use loader::Outcome;

/// Writes an attempt's folder, raw data and record. Returns the record with its verdict, and the sums of the files for the journal.
///
/// # Errors
/// [`StoreError`].
pub fn store(
    folder: &RunFolder,
    order: &Order,
    mut driven: Driven,
    facts: &HostFacts,
    band: Option<BandRecord>,
) -> Result<(TrialRecord, BTreeMap<String, FileSum>), StoreError> {
    let mut writer = folder.begin(&order.key)?;
    let outcome = driven.outcome.take();
    let mut labels = Vec::new();
    if let Some(outcome) = &outcome {
        labels = store_requests(&mut writer, order, &driven, outcome)?;
        writer.histograms(&outcome.histograms, length(outcome))?;
    }
    writer.samples(driven.batches.as_slice())?;
    if let End::Failed(Failed { logs, .. }) = &driven.end {
        writer.logs(logs)?;
    }
    let mut record = record(order, &driven, outcome.as_ref(), facts);
    record.labels = labels;
    record.band = band;
    record.verdict = audit(&record);
    let files = writer.finish(&mut record)?;
    Ok((record, files))
}

/// Writes every request, and says what each kind of them took.
fn store_requests(
    writer: &mut AttemptWriter,
    order: &Order,
    driven: &Driven,
    outcome: &Outcome,
) -> Result<Vec<LabelRecord>, StoreError> {
    let context = JtlContext {
        label: format!("{}/{}", order.key.trial.cell.load, order.key.trial.cell.workload),
        labels: outcome.labels.clone(),
        groups: groups(&driven.loaders),
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

fn record(order: &Order, driven: &Driven, outcome: Option<&Outcome>, facts: &HostFacts) -> TrialRecord {
    let window = outcome.and_then(|outcome| window(outcome, driven));
    let interval_ms = order.run.sampling.interval_ms;
    let cut = window.map(|window| Cut {
        start_ns: window.runner_start_ns,
        end_ns: window.runner_end_ns,
        interval_ns: interval_ms * 1_000_000,
        ticks_per_s: facts.clock_ticks_per_s,
    });
    let samples: Vec<_> = driven
        .batches
        .as_slice()
        .iter()
        .flat_map(|batch| batch.samples.iter().cloned())
        .collect();
    let resources: Vec<ServiceUse> = cut.map(|cut| usage(&samples, cut)).unwrap_or_default();
    let ledger = cut.and_then(|cut| {
        let frame = Frame {
            cut,
            beside: &order.beside(),
            idle: driven.ready.as_ref().and_then(|ready| ready.idle.as_ref()),
        };
        ledger(&samples, &frame)
    });
    TrialRecord {
        format: FORMAT,
        key: order.key.clone(),
        attempt_id: order.attempt,
        index: order.index,
        platform: order.run.platform.clone(),
        started: driven.started,
        ended: driven.ended,
        band: None,
        load: order.load.clone(),
        ready: driven.ready.clone(),
        clock: driven
            .clock
            .as_ref()
            .map(|clock| clock_offset(clock, driven.began, driven.exchanges)),
        window,
        requests: outcome.map(counts).unwrap_or_default(),
        little: outcome
            .filter(|outcome| tells_requests(outcome))
            .map(|outcome| outcome.little),
        generator: outcome
            .filter(|outcome| outcome.external.is_none())
            .map(GeneratorRecord::of),
        loaders: driven.loaders.clone(),
        external: outcome
            .and_then(|outcome| outcome.external.as_ref())
            .map(ExternalRecord::of),
        latency: outcome.map(latency),
        labels: Vec::new(),
        ramp: outcome.and_then(|outcome| outcome.ramp.as_ref()).map(RampRecord::of),
        truth: driven.truth.clone(),
        beside: order.beside(),
        sampling: SamplingRecord {
            interval_ms,
            batches: driven.batches.as_slice().len() as u64,
            samples: samples.len() as u64,
            ticks_per_s: facts.clock_ticks_per_s,
        },
        udp: outcome.and_then(|outcome| outcome.udp.clone()),
        resources,
        ledger,
        summary: match &driven.end {
            End::Summed(_, summary) => Some(summary.clone()),
            _ => None,
        },
        failure: failure(&driven.end),
        verdict: Verdict::from_reasons(vec![]),
        files: BTreeMap::new(),
    }
}

/// The controller's clock counts from the attempt's beginning, so the offset is what the runner's showed then.
fn clock_offset(clock: &RunnerClock, began: Instant, exchanges: u32) -> ClockOffset {
    ClockOffset {
        offset_ns: clock.at(began).cast_signed(),
        error_ns: clock.error_ns(),
        exchanges,
    }
}

/// The window on both clocks; `None` where the runner's is not known.
fn window(outcome: &Outcome, driven: &Driven) -> Option<Window> {
    let (clock, ready) = (driven.clock.as_ref()?, driven.ready.as_ref()?);
    // Every loader's requests count from its own start.
    let loaders = driven.loaders.iter().map(LoaderRecord::furthest_ns).max().unwrap_or(0);
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

/// The threads of each loader, in their order; none where the controller fired the load itself.
fn groups(loaders: &[LoaderRecord]) -> Vec<(String, usize)> {
    let threads = |loader: &LoaderRecord| usize::try_from(loader.generator.threads).unwrap_or(usize::MAX);
    let group = |loader: &LoaderRecord| (loader.host.to_string(), threads(loader));
    loaders.iter().map(group).collect()
}

/// Whether every request is known.
fn tells_requests(outcome: &Outcome) -> bool {
    outcome.external.as_ref().is_none_or(|external| external.requests)
}

fn latency(outcome: &Outcome) -> Latency {
    let mut latency = Latency::of(&outcome.histograms);
    if let Some(response) = external::response(outcome) {
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

/// Why it was aborted; `None`: the load went through and the runner summed up.
fn failure(end: &End) -> Option<FailureRecord> {
    let (stage, why) = match end {
        End::Summed(Cause::LoadOver, _) => return None,
        End::Summed(Cause::LoadBroken(why), _) => ("load".to_owned(), why.clone()),
        End::Summed(Cause::Late(phase), _) => {
            (phase.as_str().to_owned(), "it took longer than its deadline".to_owned())
        }
        End::Summed(Cause::Cancelled, _) => ("cancelled".to_owned(), "the user ended it".to_owned()),
        End::Refused(refused) => ("refused".to_owned(), refused.why.clone()),
        End::Failed(failed) => (format!("runner, {}", failed.stage.as_str()), failed.why.clone()),
        End::Silent(phase) => (phase.as_str().to_owned(), "the runner did not answer".to_owned()),
    };
    Some(FailureRecord { stage, why })
}
