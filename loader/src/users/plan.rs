//! The plan of a closed loop.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::call::{Call, Label};
use crate::control::MAX_THREADS;
use crate::error::LoadError;
use crate::http::window;
use crate::part::Part;
use crate::plan::{DEFAULT_SPIN, check_time};
use protocol::load::Wait;

/// A closed load: each user sends its next call when the last one is answered and its think time is over.
#[derive(Debug, Clone, PartialEq)]
pub struct UsersPlan {
    /// What can be sent; users name calls by their place in here.
    pub calls: Vec<Call>,
    /// What the calls are; they name labels by their place in here.
    pub labels: Vec<Label>,
    /// The users.
    pub users: Vec<Script>,
    /// The pause of a user between the end of a reply and its next call.
    pub think: Think,
    /// `true`: each user keeps one connection to each address it talks to. `false`: each call opens its own. The bytes of the calls must say the same.
    pub keep_alive: bool,
    /// A call is given up so long after its user was ready to send it.
    pub timeout: Duration,
    /// When it is over, and what of it is warm-up.
    pub extent: Extent,
    /// The users begin spread evenly over this time (JMeter's ramp-up period); zero: all at once.
    pub ramp_up: Duration,
    /// Which of the users are this machine's.
    pub part: Part,
    /// Cores to pin to, one thread each; empty: one thread that is not pinned.
    pub cpus: Vec<usize>,
    /// How long before a call is due its thread stops sleeping and watches the clock; matters only with think time.
    pub spin: Duration,
    /// Whether threads sleep at all.
    pub wait: Wait,
}

/// What one user does, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Places in [`UsersPlan::calls`].
    pub calls: Vec<u32>,
    /// Whether it begins anew at the end; otherwise the user is done then.
    pub repeat: bool,
}

/// The pause of a user between the end of a reply and its next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// None.
    None,
    /// Always the same.
    Constant(Duration),
    /// Exponentially distributed, drawn for each user on its own.
    Exponential {
        /// Its mean.
        mean: Duration,
        /// Seed of the random numbers; the same seed gives the same pauses.
        seed: u64,
    },
}

/// When a closed load is over, and what of it is warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// At the end of the measured window; calls that a user was ready to send before are answered still. The warm-up is the time before the window.
    Window {
        /// Time under the same load before the window.
        warm_up: Duration,
        /// The measured window.
        duration: Duration,
    },
    /// When every user is at the end of its list.
    ///
    /// A list is too valuable to be spent on a warm-up by time, which would cut it at another place in each trial: here the first calls of each user are the
    /// warm-up, none by default. The window is from the first measured call to the end of the last; users who still warm up in it are load that is
    /// not counted.
    Lists {
        /// Calls at the beginning of each user's list that are not measured.
        warm_up_calls: u32,
        /// Calls that would be due later than this after the start are not made any more.
        at_most: Duration,
    },
}

impl UsersPlan {
    /// A plan without think time, on kept-alive connections, with a time-out of 2 s.
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
        }
    }

    /// Checks what can be said about the plan without looking at the machine.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), LoadError> {
        check_time("the time-out", self.timeout, false)?;
        check_time("the ramp-up", self.ramp_up, true)?;
        check_time("the spin", self.spin, true)?;
        match self.extent {
            Extent::Window { warm_up, duration } => {
                check_time("the warm-up", warm_up, true)?;
                check_time("the duration", duration, false)?;
            }
            Extent::Lists { at_most, .. } => check_time("the longest duration", at_most, false)?,
        }
        match self.think {
            Think::None => {}
            Think::Constant(mean) | Think::Exponential { mean, .. } => check_time("the think time", mean, true)?,
        }
        if self.cpus.len() > MAX_THREADS {
            return Err(LoadError::Threads(self.cpus.len()));
        }
        self.check_lists()
    }

    fn check_lists(&self) -> Result<(), LoadError> {
        if self.own().all(|number| self.users[number].calls.is_empty()) {
            return Err(LoadError::Users(
                "no user has a call to make: give at least one a list of calls",
            ));
        }
        if matches!(self.extent, Extent::Lists { .. }) && self.users.iter().any(|user| user.repeat) {
            return Err(LoadError::Users(
                "a user who begins anew never comes to the end of its list: give the load a duration",
            ));
        }
        let known = self.calls.len();
        let lists = self.users.iter().flat_map(|user| &user.calls);
        if let Some(found) = lists.map(|&call| call as usize).find(|&call| call >= known) {
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

    /// The places of the users of this machine.
    pub(super) fn own(&self) -> impl Iterator<Item = usize> {
        let part = self.part;
        (0..self.users.len()).filter(move |&number| part.has(number as u64))
    }

    /// Threads the engine runs.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Connections that can be open at once, over all threads.
    #[must_use]
    pub fn most_connections(&self) -> u64 {
        let addresses: BTreeSet<_> = self.calls.iter().map(|call| call.address).collect();
        most_connections(
            self.own().count() as u64,
            addresses.len(),
            self.keep_alive,
            self.threads(),
        )
    }

    /// The measured window, ns from the start; open at its end with lists.
    pub(super) fn window(&self) -> Range<u64> {
        match self.extent {
            Extent::Window { warm_up, duration } => window(warm_up, duration),
            Extent::Lists { .. } => 0..u64::MAX,
        }
    }
}

/// Connections that so many users can have open at once to so many addresses.
#[must_use]
pub fn most_connections(users: u64, addresses: usize, keep_alive: bool, threads: usize) -> u64 {
    let each = if keep_alive { addresses.max(1) } else { 1 };
    // A server that does not close when it was asked to keeps a connection for a while beside the next one.
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
            bytes: b"GET / HTTP/1.1\r\n\r\n".as_slice().into(),
            expect: Expect {
                status: 200,
                body: BodyRule::Any,
            },
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
    fn nonsense_is_refused() {
        plan(&[&[0, 0], &[]], false, LISTS).check().unwrap();
        assert!(matches!(plan(&[&[]], false, LISTS).check(), Err(LoadError::Users(_))));
        assert!(matches!(plan(&[&[0]], true, LISTS).check(), Err(LoadError::Users(_))));
        let unknown = plan(&[&[0, 1]], false, LISTS).check().unwrap_err();
        assert_eq!(unknown.to_string(), "call 1 is named, there are 1");
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
