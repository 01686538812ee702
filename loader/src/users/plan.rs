//! The plan of a closed-loop load.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::call::{Call, Label};
use crate::control::MAX_THREADS;
use crate::error::LoadError;
use crate::http::window;
use crate::part::Part;
use crate::rate::{DEFAULT_SPIN, check_time};
use crate::tls::Tls;
use protocol::load::Wait;

/// The plan of a closed-loop load.
#[derive(Debug, Clone, PartialEq)]
pub struct UsersPlan {
    /// The calls; scripts refer to them by index.
    pub calls: Vec<Call>,
    /// The labels; calls refer to them by index.
    pub labels: Vec<Label>,
    /// The script of each user.
    pub users: Vec<Script>,
    /// Think time between a reply and the next call.
    pub think: Think,
    /// `true`: each user keeps one connection per address; `false`: one connection per call. The encoded calls must agree.
    pub keep_alive: bool,
    /// Time-out of a call from the time at which its user was ready to send it.
    pub timeout: Duration,
    /// The end condition and the warm-up.
    pub extent: Extent,
    /// The users start evenly spread over this time (JMeter's ramp-up period); zero: simultaneously.
    pub ramp_up: Duration,
    /// The part of the users on this machine.
    pub part: Part,
    /// CPUs to pin to, one thread each; empty: one thread, not pinned.
    pub cpus: Vec<usize>,
    /// Initial lead time with which a thread wakes and busy-polls before a call is due; only relevant with think time.
    pub spin: Duration,
    /// Whether threads sleep.
    pub wait: Wait,
    /// How connections are encrypted, if they are.
    pub tls: Option<Tls>,
}

/// The calls of one user, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Indices into [`UsersPlan::calls`].
    pub calls: Vec<u32>,
    /// Whether it repeats.
    pub repeat: bool,
}

/// The think time of a user between a reply and its next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// None.
    None,
    /// Constant.
    Constant(Duration),
    /// Exponentially distributed, with a separate random stream per user.
    Exponential {
        /// Mean.
        mean: Duration,
        /// Random seed; the same seed gives the same think times.
        seed: u64,
    },
}

/// The end condition and the warm-up of a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A time window. Calls that users were ready to send before its end are completed. The warm-up is the time before the window.
    Window {
        /// Warm-up before the window.
        warm_up: Duration,
        /// The measurement window.
        duration: Duration,
    },
    /// Until every user has completed its script.
    ///
    /// The warm-up is a number of first calls of each user, since a warm-up by time would split the scripts at a different call in every trial. The window
    /// is from the first measured call to the completion of the last; warm-up calls within it are load that is not counted.
    Lists {
        /// Number of warm-up calls of each user.
        warm_up_calls: u32,
        /// Maximum duration; calls that would be due later are not made.
        at_most: Duration,
    },
}

impl UsersPlan {
    /// A plan without think time, with persistent connections and a time-out of 2 s.
    #[must_use]
    pub fn new(calls: Vec<Call>, labels: Vec<Label>, users: Vec<Script>, extent: Extent) -> Self {
        Self {
            calls,
            labels,
            users,
            think: Think::None,
            keep_alive: true,
            timeout: Duration::from_secs(2),
            extent,
            ramp_up: Duration::ZERO,
            part: Part::WHOLE,
            cpus: Vec::new(),
            spin: DEFAULT_SPIN,
            wait: Wait::Sleep,
            tls: None,
        }
    }

    /// Checks the plan, independently of the machine.
    ///
    /// # Errors
    /// The first problem.
    pub fn check(&self) -> Result<(), LoadError> {
        check_time("the time-out", self.timeout, false)?;
        check_time("the ramp-up", self.ramp_up, true)?;
        check_time("the spin", self.spin, true)?;
        match self.extent {
            Extent::Window { warm_up, duration } => {
                check_time("the warm-up", warm_up, true)?;
                check_time("the duration", duration, false)?;
            }
            Extent::Lists { at_most, .. } => check_time("the maximum duration", at_most, false)?,
        }
        match self.think {
            Think::None => {}
            Think::Constant(mean) | Think::Exponential { mean, .. } => check_time("the think time", mean, true)?,
        }
        if self.cpus.len() > MAX_THREADS {
            return Err(LoadError::Threads(self.cpus.len()));
        }
        self.check_scripts()
    }

    fn check_scripts(&self) -> Result<(), LoadError> {
        if self.own().all(|number| self.users[number].calls.is_empty()) {
            return Err(LoadError::Users(
                "no user has any calls: at least one script must not be empty",
            ));
        }
        if matches!(self.extent, Extent::Lists { .. }) && self.users.iter().any(|user| user.repeat) {
            return Err(LoadError::Users(
                "a repeating script never ends: give the load a duration",
            ));
        }
        let known = self.calls.len();
        let calls = self.users.iter().flat_map(|user| &user.calls);
        if let Some(found) = calls.map(|&call| call as usize).find(|&call| call >= known) {
            let what = "call";
            return Err(LoadError::Unknown { what, found, known });
        }
        let known = self.labels.len();
        if let Some(found) = self
            .calls
            .iter()
            .map(|call| usize::from(call.label))
            .find(|&l| l >= known)
        {
            let what = "label";
            return Err(LoadError::Unknown { what, found, known });
        }
        Ok(())
    }

    /// The indices of the users on this machine.
    pub(super) fn own(&self) -> impl Iterator<Item = usize> {
        let part = self.part;
        (0..self.users.len()).filter(move |&number| part.has(number as u64))
    }

    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Maximum number of open connections over all threads.
    #[must_use]
    pub fn max_connections(&self) -> u64 {
        let addresses: BTreeSet<_> = self.calls.iter().map(|call| call.address).collect();
        max_connections(
            self.own().count() as u64,
            addresses.len(),
            self.keep_alive,
            self.threads(),
        )
    }

    /// The measurement window, ns from the start; open-ended with scripts that end.
    pub(super) fn window(&self) -> Range<u64> {
        match self.extent {
            Extent::Window { warm_up, duration } => window(warm_up, duration),
            Extent::Lists { .. } => 0..u64::MAX,
        }
    }
}

/// Maximum number of open connections of a number of users to a number of addresses.
#[must_use]
pub fn max_connections(users: u64, addresses: usize, keep_alive: bool, threads: usize) -> u64 {
    let each = if keep_alive { addresses.max(1) } else { 1 };
    // A connection that the server does not close when asked to remains open in addition to the next one.
    let closing = if keep_alive { 2 } else { 8 };
    users * each as u64 * closing + threads as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{BodyRule, Expect};

    fn plan(lists: &[&[u32]], repeat: bool, extent: Extent) -> UsersPlan {
        let call = Call {
            address: ([127, 0, 0, 1], 1).into(),
            label: 0,
            bytes: b"GET / HTTP/1.1\r\n\r\n".to_vec().into(),
            expect: Expect::ok(BodyRule::Any),
        };
        let label = Label {
            name: "a".into(),
            url: "http://127.0.0.1:1/".into(),
        };
        let users = lists.iter().map(|calls| Script {
            calls: calls.to_vec(),
            repeat,
        });
        UsersPlan::new(vec![call], vec![label], users.collect(), extent)
    }

    const LISTS: Extent = Extent::Lists {
        warm_up_calls: 0,
        at_most: Duration::from_secs(60),
    };

    #[test]
    fn invalid_plans_are_refused() {
        plan(&[&[0, 0], &[]], false, LISTS).check().unwrap();
        assert!(matches!(plan(&[&[]], false, LISTS).check(), Err(LoadError::Users(_))));
        assert!(matches!(plan(&[&[0]], true, LISTS).check(), Err(LoadError::Users(_))));
        let unknown = plan(&[&[0, 1]], false, LISTS).check().unwrap_err();
        assert_eq!(unknown.to_string(), "call 1 does not exist: there are 1");
        let mut unlabelled = plan(&[&[0]], false, LISTS);
        unlabelled.labels.clear();
        assert!(matches!(
            unlabelled.check(),
            Err(LoadError::Unknown { what: "label", .. })
        ));
        let never = Extent::Window {
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
        };
        assert!(matches!(
            plan(&[&[0]], true, never).check(),
            Err(LoadError::Time { .. })
        ));
    }
}
