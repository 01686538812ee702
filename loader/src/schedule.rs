//! The schedule of an open-loop load: a pure function of the plan.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use protocol::load::Arrivals;

use super::clock::nanos;
use super::part::Part;
use super::rate::RatePlan;

const NS_PER_S: f64 = 1e9;

/// One request of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the run, from 0.
    pub number: u64,
    /// Scheduled time, ns from the start of the run.
    pub at_ns: u64,
    /// Whether it belongs to the warm-up.
    pub warm_up: bool,
}

/// The arrivals of a whole run, in order of time.
///
/// Uniform arrivals are at `n / rate` from the start of the warm-up, and again from the start of the window, so that the window contains exactly
/// `rate × duration` of them for any length of the warm-up. Times are computed from `n` and not accumulated, so rounding errors do not grow. Poisson
/// arrivals are one process over both. Jittered arrivals are uniform arrivals, each delayed by a random time below the jitter; none
/// leaves the warm-up or the window that it belongs to, so their numbers are those of uniform arrivals.
///
/// A part of a load has every n-th arrival of the whole, at its time: the parts together equal the load of one machine.
#[derive(Debug, Clone)]
pub struct Schedule {
    rate_per_s: f64,
    warm_up_ns: u64,
    end_ns: u64,
    next: u64,
    part: Part,
    kind: Kind,
    jitter: Option<Jitter>,
}

#[derive(Debug, Clone)]
enum Kind {
    Uniform { in_warm_up: u64, total: u64 },
    Poisson { rng: Box<ChaCha8Rng>, at_ns: f64 },
}

/// Random delays, one drawn for each arrival of the whole load in order: that of the k-th depends on the seed and k alone, whichever part
/// it belongs to.
#[derive(Debug, Clone)]
struct Jitter {
    rng: Box<ChaCha8Rng>,
    most_ns: f64,
}

impl Jitter {
    fn of(plan: &RatePlan) -> Option<Self> {
        let Arrivals::Jittered(most) = plan.arrivals else {
            return None;
        };
        Some(Self {
            rng: Box::new(ChaCha8Rng::seed_from_u64(plan.seed)),
            most_ns: most.as_secs_f64() * NS_PER_S,
        })
    }

    /// The next delay, ns.
    fn draw(&mut self) -> u64 {
        floor(self.rng.random::<f64>() * self.most_ns)
    }
}

impl Schedule {
    /// The schedule of a plan.
    #[must_use]
    pub fn new(plan: &RatePlan) -> Self {
        let warm_up_ns = nanos(plan.warm_up);
        let in_warm_up = count(plan.rate_per_s, warm_up_ns);
        let kind = match plan.arrivals {
            Arrivals::Uniform | Arrivals::Jittered(_) => Kind::Uniform {
                in_warm_up,
                total: in_warm_up + count(plan.rate_per_s, nanos(plan.duration)),
            },
            Arrivals::Poisson => Kind::Poisson {
                rng: Box::new(ChaCha8Rng::seed_from_u64(plan.seed)),
                at_ns: 0.0,
            },
        };
        Self {
            rate_per_s: plan.rate_per_s,
            warm_up_ns,
            end_ns: warm_up_ns + nanos(plan.duration),
            next: 0,
            part: plan.part,
            kind,
            jitter: Jitter::of(plan),
        }
    }

    /// The expected number of arrivals; exact for uniform arrivals.
    #[must_use]
    pub fn expected(&self) -> u64 {
        match self.kind {
            Kind::Uniform { total, .. } => self.part.count(total),
            Kind::Poisson { .. } => self.part.count(count(self.rate_per_s, self.end_ns)),
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let arrival = self.next_of_whole()?;
            if self.part.has(arrival.number) {
                return Some(arrival);
            }
        }
    }
}

impl Schedule {
    /// The next arrival of the whole load.
    fn next_of_whole(&mut self) -> Option<Arrival> {
        let number = self.next;
        let at_ns = match &mut self.kind {
            Kind::Uniform { total, .. } if number >= *total => return None,
            Kind::Uniform { in_warm_up, .. } if number < *in_warm_up => nth(number, self.rate_per_s),
            Kind::Uniform { in_warm_up, .. } => self.warm_up_ns + nth(number - *in_warm_up, self.rate_per_s),
            Kind::Poisson { rng, at_ns } => {
                let uniform: f64 = rng.random(); // in [0, 1), so the logarithm is finite
                *at_ns -= (1.0 - uniform).ln() * NS_PER_S / self.rate_per_s;
                floor(*at_ns)
            }
        };
        if at_ns >= self.end_ns {
            return None;
        }
        let phase_end_ns = if at_ns < self.warm_up_ns {
            self.warm_up_ns
        } else {
            self.end_ns
        };
        let delay_ns = self.jitter.as_mut().map_or(0, Jitter::draw);
        let at_ns = (at_ns + delay_ns).min(phase_end_ns - 1);
        self.next += 1;
        Some(Arrival {
            number,
            at_ns,
            warm_up: at_ns < self.warm_up_ns,
        })
    }
}

/// The time of the n-th of equally spaced arrivals, ns.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 arrivals")]
fn nth(n: u64, rate_per_s: f64) -> u64 {
    floor(n as f64 * NS_PER_S / rate_per_s)
}

/// The number of n with n / rate below a time in ns; a product that is an integer except for rounding counts as an integer.
#[expect(clippy::cast_precision_loss, reason = "durations of a plan are far below 2^53 ns")]
fn count(rate_per_s: f64, ns: u64) -> u64 {
    let exact = ns as f64 * rate_per_s / NS_PER_S;
    let near = exact.round();
    floor(if (exact - near).abs() < 1e-6 {
        near
    } else {
        exact.ceil()
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; `as` saturates"
)]
fn floor(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn plan(rate_per_s: f64, warm_up_ms: u64, duration_ms: u64, arrivals: Arrivals) -> RatePlan {
        RatePlan {
            warm_up: Duration::from_millis(warm_up_ms),
            arrivals,
            seed: 7,
            ..RatePlan::new(rate_per_s, Duration::from_millis(duration_ms))
        }
    }

    /// Each kind of arrivals; the jitter is as long as it may be.
    fn arrivals(rate_per_s: f64) -> [Arrivals; 3] {
        let interval = Duration::from_secs_f64(1.0 / rate_per_s);
        [Arrivals::Uniform, Arrivals::Poisson, Arrivals::Jittered(interval)]
    }

    #[test]
    fn jitter_delays_uniform_arrivals_evenly_up_to_its_length() {
        let jitter_ns = 800_000;
        let jittered = plan(1000.0, 500, 10_000, Arrivals::Jittered(Duration::from_nanos(jitter_ns)));
        let uniform = Schedule::new(&RatePlan {
            arrivals: Arrivals::Uniform,
            ..jittered.clone()
        });
        let delays: Vec<u64> = Schedule::new(&jittered)
            .zip(uniform)
            .map(|(late, due)| late.at_ns - due.at_ns)
            .collect();
        assert_eq!(delays.len(), 10_500);
        assert!(delays.iter().all(|&delay| delay < jitter_ns));
        let mean = delays.iter().sum::<u64>() as f64 / delays.len() as f64;
        assert!((mean / 400_000.0 - 1.0).abs() < 0.03, "mean {mean}");
        for quarter in 0..4 {
            let range = quarter * 200_000..(quarter + 1) * 200_000;
            let share = delays.iter().filter(|delay| range.contains(*delay)).count() as f64 / delays.len() as f64;
            assert!((share - 0.25).abs() < 0.03, "quarter {quarter}: {share}");
        }
        let other = RatePlan {
            seed: 8,
            ..jittered.clone()
        };
        assert!(Schedule::new(&other).ne(Schedule::new(&jittered)));
    }

    #[test]
    fn the_rates_of_the_thesis_are_exact() {
        for rate in [500_u32, 1000, 10_000] {
            let all: Vec<_> = Schedule::new(&plan(rate.into(), 3000, 10_000, Arrivals::Uniform)).collect();
            let window: Vec<_> = all.iter().filter(|a| !a.warm_up).collect();
            assert_eq!(window.len() as u64, u64::from(rate) * 10);
            assert_eq!(all.len() as u64, u64::from(rate) * 13);
            assert_eq!(window[0].at_ns, 3_000_000_000);
            assert_eq!(window[7].at_ns, 3_000_000_000 + 7 * 1_000_000_000 / u64::from(rate));
        }
    }

    #[test]
    fn poisson_arrivals_have_the_expected_mean_and_variance() {
        let all: Vec<_> = Schedule::new(&plan(1000.0, 0, 100_000, Arrivals::Poisson))
            .map(|a| a.at_ns as f64)
            .collect();
        let gaps: Vec<_> = all.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.02, "mean {mean}");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.03,
            "SD over mean {}",
            variance.sqrt() / mean
        );
    }

    proptest! {
        #[test]
        fn uniform_times_follow_the_formula(
            rate in 0.1_f64..200_000.0, warm_up_ms in 0_u64..200, duration_ms in 1_u64..300,
        ) {
            let plan = plan(rate, warm_up_ms, duration_ms, Arrivals::Uniform);
            let schedule = Schedule::new(&plan);
            let expected = schedule.expected();
            let all: Vec<_> = schedule.collect();
            prop_assert_eq!(all.len() as u64, expected);
            let window: Vec<_> = all.iter().filter(|a| !a.warm_up).collect();
            let exact = rate * duration_ms as f64 / 1e3;
            prop_assert!((window.len() as f64 - exact).abs() <= 1.0);
            for (n, arrival) in window.iter().enumerate() {
                let due = warm_up_ms as f64 * 1e6 + n as f64 * 1e9 / rate;
                prop_assert!((arrival.at_ns as f64 - due).abs() <= 1.0);
            }
        }

        #[test]
        fn schedules_are_ordered_numbered_and_deterministic(
            rate in 0.1_f64..50_000.0, warm_up_ms in 0_u64..100, duration_ms in 1_u64..200, seed in any::<u64>(), kind in 0_usize..3,
        ) {
            let arrivals = arrivals(rate)[kind];
            let plan = RatePlan { seed, ..plan(rate, warm_up_ms, duration_ms, arrivals) };
            let all: Vec<_> = Schedule::new(&plan).collect();
            prop_assert!(all.windows(2).all(|w| w[0].at_ns <= w[1].at_ns));
            prop_assert!(all.iter().enumerate().all(|(n, a)| a.number == n as u64));
            prop_assert!(all.iter().all(|a| a.at_ns < (warm_up_ms + duration_ms) * 1_000_000));
            prop_assert!(all.iter().all(|a| a.warm_up == (a.at_ns < warm_up_ms * 1_000_000)));
            prop_assert_eq!(all, Schedule::new(&plan).collect::<Vec<_>>());
        }

        #[test]
        fn the_parts_together_equal_the_whole(
            rate in 0.1_f64..20_000.0, duration_ms in 1_u64..200, seed in any::<u64>(), kind in 0_usize..3, of in 1_u32..6,
        ) {
            let arrivals = arrivals(rate)[kind];
            let whole = RatePlan { seed, ..plan(rate, duration_ms / 2, duration_ms, arrivals) };
            let part = |index| RatePlan { part: Part::new(index, of).unwrap(), ..whole.clone() };
            let parts: Vec<_> = (0..of).map(part).collect();
            let mut merged: Vec<_> = parts.iter().flat_map(Schedule::new).collect();
            merged.sort_by_key(|arrival| arrival.number);
            prop_assert_eq!(&merged, &Schedule::new(&whole).collect::<Vec<_>>());
            if arrivals != Arrivals::Poisson {
                let expected: u64 = parts.iter().map(|part| Schedule::new(part).expected()).sum();
                prop_assert_eq!(expected, merged.len() as u64);
            }
        }
    }
}
