//! The plan of an open-loop load.

use std::time::Duration;

use super::control::MAX_THREADS;
use super::error::LoadError;
use super::part::Part;
use protocol::load::{Arrivals, Wait};

/// An open-loop load: so many requests a second, whatever the replies do.
#[derive(Debug, Clone, PartialEq)]
pub struct RatePlan {
    /// Requests a second.
    pub rate_per_s: f64,
    /// Time under the same load before the measured window.
    pub warm_up: Duration,
    /// The measured window.
    pub duration: Duration,
    /// A request is given up so long after its *intended* time, whatever became of it.
    pub timeout: Duration,
    /// How the requests are spread over time.
    pub arrivals: Arrivals,
    /// Seed of random arrivals; the same seed gives the same times.
    pub seed: u64,
    /// What they travel on.
    pub connections: Connections,
    /// Which of the requests are this machine's; limits of connections are its own already.
    pub part: Part,
    /// Cores to pin to, one thread each; empty: one thread that is not pinned.
    pub cpus: Vec<usize>,
    /// How long before a request is due its thread stops sleeping and watches the clock, at first.
    ///
    /// From then on it follows how late the kernel wakes the thread, up to 250 us, and to a fifth of a core. Zero sleeps up to the due time, always.
    pub spin: Duration,
    /// Whether threads that sleep are scheduled in real time, where the kernel allows it, so that nothing that runs beside them makes them late.
    ///
    /// One that keeps its CPU busy for more than half of the time goes back to being scheduled like any other, since it would starve what shares the CPU.
    pub real_time: bool,
    /// Whether threads sleep at all.
    pub wait: Wait,
}

/// What requests travel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Each opens its own connection and asks the server to close it after the reply.
    ///
    /// The server then keeps the `TIME_WAIT` state, and no local port is spent for longer than its
    /// request. A server that does not close is reset half a second later; so is every connection
    /// whose request failed.
    PerRequest {
        /// Connections open at most; a request beyond waits, and its lag tells. `None`: rate x time-out,
        /// which an open loop cannot exceed.
        at_most: Option<u32>,
    },
    /// They share connections that stay open, one request at a time on each.
    KeepAlive {
        /// Connections opened before the run starts.
        pool: u32,
        /// When all are busy, more are opened up to this number; a request beyond waits, and its lag tells.
        at_most: u32,
    },
}

/// The first spin: what keeps the lag's p99 below 50 us on machines that wake a thread within that time.
pub const DEFAULT_SPIN: Duration = Duration::from_micros(50);

impl RatePlan {
    /// A plan with uniform arrivals, a connection for each request, no warm-up and a time-out of 2 s.
    #[must_use]
    pub fn new(rate_per_s: f64, duration: Duration) -> Self {
        Self {
            rate_per_s,
            warm_up: Duration::ZERO,
            duration,
            timeout: Duration::from_secs(2),
            arrivals: Arrivals::Uniform,
            seed: 0,
            connections: Connections::PerRequest { at_most: None },
            part: Part::WHOLE,
            cpus: Vec::new(),
            spin: DEFAULT_SPIN,
            real_time: true,
            wait: Wait::Sleep,
        }
    }

    /// Checks what can be said about the plan without looking at the machine.
    pub fn check(&self) -> Result<(), LoadError> {
        if !(self.rate_per_s > 0.0 && self.rate_per_s <= 1e9) {
            return Err(LoadError::Rate(self.rate_per_s));
        }
        check_time("the duration", self.duration, false)?;
        check_time("the warm-up", self.warm_up, true)?;
        check_time("the time-out", self.timeout, false)?;
        check_time("the spin", self.spin, true)?;
        match self.connections {
            Connections::KeepAlive { pool, at_most } if at_most == 0 || pool > at_most => {
                Err(LoadError::Pool { pool, at_most })
            }
            Connections::PerRequest { at_most: Some(0) } => Err(LoadError::Pool { pool: 0, at_most: 0 }),
            _ if self.cpus.len() > MAX_THREADS => Err(LoadError::Threads(self.cpus.len())),
            _ => Ok(()),
        }
    }

    /// Threads the engine runs.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Connections that can be open at once, over all threads.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive float saturates"
    )]
    pub fn most_connections(&self) -> u64 {
        let rate_per_s = self.rate_per_s / f64::from(self.part.of());
        let unbounded = (rate_per_s * self.timeout.as_secs_f64()).ceil() as u64 + 1;
        match self.connections {
            Connections::PerRequest { at_most } => at_most.map_or(unbounded, |most| unbounded.min(most.into())),
            Connections::KeepAlive { at_most, .. } => at_most.into(),
        }
    }

    /// Whether connections serve more than one request.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        matches!(self.connections, Connections::KeepAlive { .. })
    }
}

/// Longest time of a plan: a day, so that sums of them in ns stay far from any limit.
const LONGEST: Duration = Duration::from_secs(86_400);

pub(super) fn check_time(name: &'static str, value: Duration, zero: bool) -> Result<(), LoadError> {
    if value > LONGEST {
        return Err(LoadError::Time {
            name,
            value,
            must: "a day at most",
        });
    }
    if value.is_zero() && !zero {
        return Err(LoadError::Time {
            name,
            value,
            must: "above 0",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        let good = RatePlan::new(100.0, Duration::from_secs(1));
        good.check().unwrap();
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                RatePlan {
                    rate_per_s: rate,
                    ..good.clone()
                }
                .check(),
                Err(LoadError::Rate(_))
            ));
        }
        let zero = RatePlan {
            duration: Duration::ZERO,
            ..good.clone()
        };
        assert!(matches!(zero.check(), Err(LoadError::Time { .. })));
        let pool = Connections::KeepAlive { pool: 2, at_most: 1 };
        assert!(matches!(
            RatePlan {
                connections: pool,
                ..good
            }
            .check(),
            Err(LoadError::Pool { .. })
        ));
    }

    #[test]
    fn an_open_loop_bounds_its_connections_by_the_timeout() {
        let plan = RatePlan::new(1000.0, Duration::from_secs(1));
        assert_eq!(plan.most_connections(), 2001);
        let capped = RatePlan {
            connections: Connections::PerRequest { at_most: Some(50) },
            ..plan
        };
        assert_eq!(capped.most_connections(), 50);
    }
}
