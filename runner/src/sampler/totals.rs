//! The sums over all samples, and the SUMMARY that is made of them.

use std::collections::BTreeMap;

use deploy::Stopped;
use protocol::Name;
use protocol::sample::{Counter, Sample, ServiceProcess, Subject};
use protocol::size::Size;
use protocol::summary::{Exit, HostUsage, KernelLogSummary, ServiceSummary, Summary};

/// The result of a sampler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Batches that were sent.
    pub batches: u64,
    /// Sums and means.
    pub totals: Totals,
    /// Ticks that were missed.
    pub missed_ticks: u64,
    /// CPU time of the thread, ns.
    pub cpu_ns: u64,
    /// The part of it before the first tick and after the last: opening files, and two walks through all page tables.
    pub ends_cpu_ns: u64,
    /// The whole host from the first to the last round.
    pub host: HostUsage,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// Sums over all rounds so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    services: BTreeMap<Name, ServiceTotals>,
    samples: u64,
    rounds: u64,
}

/// Sums of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ServiceTotals {
    processes: BTreeMap<(u32, u64), Span>,
    samples: u64,
    /// Rounds in which it had a process.
    rounds: u64,
    /// The resident memory of all its processes, summed over the rounds, bytes.
    rss_sum: u128,
    rss_max: u64,
}

/// The counters of one process at its first and last sample.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    first: Sums,
    last: Sums,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    user_ticks: u64,
    system_ticks: u64,
    cpu_ns: Option<u64>,
}

impl Totals {
    /// Adds the samples of one round.
    pub fn add_round(&mut self, samples: &[Sample]) {
        let mut rss: BTreeMap<&Name, u64> = BTreeMap::new();
        let is_first_round = self.rounds == 0;
        for sample in samples {
            if let Subject::Process(of) = &sample.of {
                let bytes = sample.counters.get(Counter::RssBytes).unwrap_or(0);
                *rss.entry(&of.service).or_default() += bytes;
                let service = self.services.entry(of.service.clone()).or_default();
                service.add(of, sample, is_first_round);
            }
        }
        for (name, bytes) in rss {
            if let Some(service) = self.services.get_mut(name) {
                service.rounds += 1;
                service.rss_sum += u128::from(bytes);
                service.rss_max = service.rss_max.max(bytes);
            }
        }
        self.samples += samples.len() as u64;
        self.rounds += 1;
    }

    /// Counts samples that belong to no round: those of page tables alone.
    pub fn count(&mut self, samples: &[Sample]) {
        self.samples += samples.len() as u64;
    }

    /// The number of samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

impl ServiceTotals {
    fn add(&mut self, of: &ServiceProcess, sample: &Sample, is_first_round: bool) {
        let known = self.processes.get(&(of.pid, of.start_ticks)).map(|span| span.last);
        let before = known.unwrap_or_default();
        let get = |counter| sample.counters.get(counter);
        // Quick samples have no ticks.
        let sums = Sums {
            user_ticks: get(Counter::UserTicks).unwrap_or(before.user_ticks),
            system_ticks: get(Counter::SystemTicks).unwrap_or(before.system_ticks),
            cpu_ns: get(Counter::CpuNs),
        };
        // What a process used before the first round belongs to the start-up. A process that appears later has used all of it since.
        let zero = Sums {
            cpu_ns: sums.cpu_ns.map(|_| 0),
            ..Sums::default()
        };
        let first = if is_first_round { sums } else { zero };
        let key = (of.pid, of.start_ticks);
        self.processes.entry(key).or_insert(Span { first, last: sums }).last = sums;
        self.samples += 1;
    }

    fn summary(&self, service: Name, exit: Exit, sizes: Vec<Size>) -> ServiceSummary {
        let between = |sum: fn(&Sums) -> u64| -> u64 {
            let spans = self.processes.values();
            spans.map(|span| sum(&span.last).saturating_sub(sum(&span.first))).sum()
        };
        let cpu = |span: &Span| Some(span.last.cpu_ns?.saturating_sub(span.first.cpu_ns?));
        let mut pids: Vec<u32> = self.processes.keys().map(|&(pid, _)| pid).collect();
        pids.dedup();
        let rss_mean = self.rss_sum / u128::from(self.rounds.max(1));
        ServiceSummary {
            service,
            pids,
            samples: self.samples,
            user_ticks: between(|sums| sums.user_ticks),
            system_ticks: between(|sums| sums.system_ticks),
            cpu_ns: self.processes.values().map(cpu).sum(),
            rss_mean_bytes: u64::try_from(rss_mean).unwrap_or(u64::MAX),
            rss_max_bytes: self.rss_max,
            exit,
            sizes,
        }
    }
}

/// The SUMMARY of an attempt, with an entry for every service that was deployed, sampled or not.
#[must_use]
pub fn summary(services: &[Name], sampled: &Sampled, kernel_log: KernelLogSummary, stopped: Stopped) -> Summary {
    let exit = |name: &Name| {
        let found = stopped.exits.iter().find(|(service, _)| service == name);
        found.map_or(Exit::Unknown, |(_, exit)| exit.clone())
    };
    let sizes = |name: &Name| {
        let found = stopped.sizes.iter().find(|(service, _)| service == name);
        found.map(|(_, sizes)| sizes.clone()).unwrap_or_default()
    };
    let one = |name: &Name| match sampled.totals.services.get(name) {
        Some(totals) => totals.summary(name.clone(), exit(name), sizes(name)),
        None => ServiceSummary {
            cpu_ns: None,
            ..ServiceTotals::default().summary(name.clone(), exit(name), sizes(name))
        },
    };
    Summary {
        services: services.iter().map(one).collect(),
        batches: sampled.batches,
        samples: sampled.totals.samples(),
        missed_ticks: sampled.missed_ticks,
        sampler_cpu_ns: sampled.cpu_ns,
        host: sampled.host.clone(),
        kernel_log,
        notes: sampled.notes.clone(),
        teardown: stopped.teardown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;
    use proptest::prelude::*;
    use protocol::summary::Teardown;

    fn sample(pid: u32, start_ticks: u64, user_ticks: u64, rss_bytes: u64) -> Sample {
        let figures = [
            (Counter::UserTicks, user_ticks),
            (Counter::SystemTicks, 2 * user_ticks),
            (Counter::CpuNs, 30 * user_ticks),
            (Counter::RssBytes, rss_bytes),
        ];
        Sample {
            offset_ns: 0,
            of: Subject::Process(ServiceProcess {
                service: name("web"),
                pid,
                start_ticks,
            }),
            counters: figures.into_iter().collect(),
        }
    }

    fn summed(rounds: &[&[Sample]]) -> Summary {
        let mut sampled = Sampled::default();
        for round in rounds {
            sampled.totals.add_round(round);
        }
        let stopped = Stopped {
            exits: vec![(name("web"), Exit::Code(0))],
            sizes: Vec::new(),
            teardown: Teardown::default(),
        };
        summary(
            &[name("web"), name("db")],
            &sampled,
            KernelLogSummary::default(),
            stopped,
        )
    }

    #[test]
    fn sums_span_the_first_to_the_last_sample_of_every_process() {
        let summary = summed(&[
            &[sample(5, 1, 10, 100)],
            &[sample(5, 1, 15, 300), sample(6, 9, 4, 50)],
            // PID 5 has ended and is another process now.
            &[sample(5, 20, 1, 20), sample(6, 9, 7, 50)],
        ]);
        let web = &summary.services[0];
        assert_eq!((web.user_ticks, web.system_ticks, web.cpu_ns), (13, 26, Some(390)));
        assert_eq!((web.samples, &web.pids[..]), (5, &[5, 6][..]));
        assert_eq!((web.rss_mean_bytes, web.rss_max_bytes), ((100 + 350 + 70) / 3, 350));
        assert_eq!(web.exit, Exit::Code(0));
        let db = &summary.services[1];
        assert_eq!((db.samples, db.cpu_ns, &db.exit), (0, None, &Exit::Unknown));
    }

    #[test]
    fn one_process_without_cpu_ns_makes_the_sum_unknown() {
        let mut without = sample(6, 1, 1, 1);
        without.counters = without
            .counters
            .iter()
            .filter(|(counter, _)| *counter != Counter::CpuNs)
            .collect();
        assert_eq!(summed(&[&[sample(5, 1, 1, 1), without]]).services[0].cpu_ns, None);
    }

    #[test]
    fn a_quick_sample_keeps_the_ticks_of_the_sample_before() {
        let mut quick = sample(5, 1, 20, 1);
        quick.counters = [(Counter::CpuNs, 600), (Counter::RssBytes, 1)].into_iter().collect();
        let web = summed(&[&[sample(5, 1, 10, 1)], &[sample(5, 1, 15, 1)], &[quick]]);
        let web = &web.services[0];
        assert_eq!((web.user_ticks, web.cpu_ns), (5, Some(300)));
    }

    proptest! {
        #[test]
        fn the_sum_of_a_growing_counter_is_its_growth(steps in proptest::collection::vec(0u64..100, 1..30)) {
            let mut user = 7;
            let rounds: Vec<Vec<Sample>> = steps.iter().map(|step| {
                user += step;
                vec![sample(5, 1, user, 10)]
            }).collect();
            let rounds: Vec<&[Sample]> = rounds.iter().map(Vec::as_slice).collect();
            let growth: u64 = steps[1..].iter().sum();
            let web = &summed(&rounds).services[0];
            prop_assert_eq!(web.user_ticks, growth);
            prop_assert_eq!(web.rss_mean_bytes, 10);
        }
    }
}
