//! The users of one thread: who is ready when, and for what.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use mio::Token;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::plan::{Extent, Think, UsersPlan};
use crate::call::Call;
use crate::error::ErrorKind;
use crate::http::{Carrier, Due, Ended, Pace};

/// Pause after a connection that could not be had, so that a service that is down is not asked as fast as the kernel refuses.
const RETRY_NS: u64 = 10_000_000;

/// The pace of a closed loop: every n-th user.
#[derive(Debug)]
pub struct ByUsers<'a> {
    calls: &'a [Call],
    /// Of each call, the place of its address among [`User::connections`].
    places: Vec<usize>,
    users: Vec<User<'a>>,
    /// Users who think, by when they are ready.
    thinking: BinaryHeap<Reverse<(u64, u32)>>,
    think: Think,
    warm_up_ns: u64,
    warm_up_calls: u32,
    end_ns: u64,
    keeps_alive: bool,
}

#[derive(Debug)]
struct User<'a> {
    list: &'a [u32],
    repeat: bool,
    next: usize,
    /// Calls made so far.
    made: u64,
    /// Its connection to each address, as far as it has one.
    connections: Box<[Option<Token>]>,
    /// Where the call under way went.
    place: usize,
    random: Option<Box<ChaCha8Rng>>,
}

impl<'a> ByUsers<'a> {
    pub fn new(plan: &'a UsersPlan, thread: usize) -> Self {
        let (places, addresses) = places(&plan.calls);
        let mine = || plan.own().skip(thread).step_by(plan.threads());
        let users: Vec<_> = mine().map(|number| User::new(plan, number, addresses)).collect();
        let (warm_up_ns, warm_up_calls, end_ns) = match plan.extent {
            Extent::Window { warm_up, duration } => (nanos(warm_up), 0, nanos(warm_up + duration)),
            Extent::Lists { warm_up_calls, at_most } => (0, warm_up_calls, nanos(at_most)),
        };
        let mut thinking = BinaryHeap::with_capacity(users.len());
        for (place, number) in mine().enumerate() {
            let start = plan.ramp_up.mul_f64(number as f64 / plan.users.len() as f64);
            if nanos(start) < end_ns {
                thinking.push(Reverse((nanos(start), u32::try_from(place).unwrap_or(u32::MAX))));
            }
        }
        Self {
            calls: &plan.calls,
            places,
            users,
            thinking,
            think: plan.think,
            warm_up_ns,
            warm_up_calls,
            end_ns,
            keeps_alive: plan.keep_alive,
        }
    }

    /// Sends a user's next call, if it has one and the load is not over.
    fn call(&mut self, wire: &mut impl Carrier<'a>, number: u32, at_ns: u64) {
        let Some(user) = self.users.get_mut(number as usize).filter(|_| at_ns < self.end_ns) else {
            return;
        };
        let Some(which) = user.advance() else { return };
        let warm_up = at_ns < self.warm_up_ns || user.made < u64::from(self.warm_up_calls);
        user.made += 1;
        let due = Due {
            call: &self.calls[which],
            at_ns,
            warm_up,
            user: number,
        };
        user.place = self.places[which];
        let kept = user.connections[user.place].take();
        if !kept.is_some_and(|token| wire.send(token, due)) {
            self.connect(wire, due);
        }
    }

    /// Connections that wait for a server to close them may take all room for a while.
    fn connect(&mut self, wire: &mut impl Carrier<'a>, due: Due<'a>) {
        if wire.has_room() {
            wire.connect(due);
        } else {
            wire.never_sent(due, wire.now_ns(), ErrorKind::NotSent);
            self.thinking.push(Reverse((wire.now_ns() + RETRY_NS, due.user)));
        }
    }
}

impl<'a> Pace<'a> for ByUsers<'a> {
    fn start_due(&mut self, wire: &mut impl Carrier<'a>, most: usize) {
        for _ in 0..most {
            let Some(&Reverse((at_ns, number))) = self.thinking.peek() else {
                return;
            };
            if at_ns > wire.now_ns() {
                return;
            }
            self.thinking.pop();
            self.call(wire, number, at_ns);
        }
    }

    fn ended(&mut self, wire: &mut impl Carrier<'a>, end: Ended) {
        let Some(user) = self.users.get_mut(end.user as usize) else {
            return;
        };
        if self.keeps_alive {
            user.connections[user.place] = end.idle;
        }
        let pause_ns = match self.think {
            Think::None => 0,
            Think::Constant(pause) => nanos(pause),
            Think::Exponential { mean, .. } => user.draw(mean),
        };
        let pause_ns = if end.error.is_some_and(ErrorKind::is_of_connecting) {
            pause_ns.max(RETRY_NS)
        } else {
            pause_ns
        };
        if pause_ns == 0 {
            self.call(wire, end.user, end.at_ns);
        } else if end.at_ns.saturating_add(pause_ns) < self.end_ns {
            self.thinking.push(Reverse((end.at_ns + pause_ns, end.user)));
        }
    }

    fn next_ns(&self) -> Option<u64> {
        self.thinking.peek().map(|Reverse((at_ns, _))| *at_ns)
    }

    fn is_over(&self) -> bool {
        self.thinking.is_empty()
    }

    fn cancel(&mut self, _: &mut impl Carrier<'a>, now_ns: u64) {
        self.thinking.clear();
        self.end_ns = self.end_ns.min(now_ns);
    }
}

impl<'a> User<'a> {
    fn new(plan: &'a UsersPlan, number: usize, addresses: usize) -> Self {
        let script = &plan.users[number];
        let random = match plan.think {
            Think::Exponential { seed, .. } => {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(number as u64);
                Some(Box::new(random))
            }
            Think::None | Think::Constant(_) => None,
        };
        Self {
            list: &script.calls,
            repeat: script.repeat,
            next: 0,
            made: 0,
            connections: vec![None; addresses].into_boxed_slice(),
            place: 0,
            random,
        }
    }

    /// The next call of its list; `None` at the end.
    fn advance(&mut self) -> Option<usize> {
        if self.next == self.list.len() && self.repeat {
            self.next = 0;
        }
        let call = self.list.get(self.next)?;
        self.next += 1;
        Some(*call as usize)
    }

    /// An exponentially distributed time of this mean, ns.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative; `as` saturates"
    )]
    fn draw(&mut self, mean: Duration) -> u64 {
        let uniform: f64 = self.random.as_mut().map_or(0.5, |random| random.random()); // in [0, 1), so the logarithm is finite
        (-(1.0 - uniform).ln() * mean.as_nanos() as f64) as u64
    }
}

/// Of each call, the place of its address among all; and how many addresses there are.
fn places(calls: &[Call]) -> (Vec<usize>, usize) {
    let mut known: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    let mut place = |call: &Call| {
        let next = known.len();
        *known.entry(call.address).or_insert(next)
    };
    let places = calls.iter().map(&mut place).collect();
    (places, known.len())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::plan::Script;
    use super::*;
    use crate::call::Label;
    use crate::http::paused::{Paused, call};

    const MS: u64 = 1_000_000;

    fn plan(users: usize, calls: usize, think: Think, ramp_up: Duration) -> UsersPlan {
        let label = Label {
            name: String::new(),
            url: String::new(),
        };
        let script = Script {
            calls: vec![0; calls],
            repeat: false,
        };
        let extent = Extent::Lists {
            warm_up_calls: 0,
            at_most: Duration::from_secs(86_400),
        };
        UsersPlan {
            think,
            ramp_up,
            ..UsersPlan::new(vec![call()], vec![label], vec![script; users], extent)
        }
    }

    proptest! {
        /// Whatever the stalls: each user makes all its calls, one at a time; the next is due its think time after the last one ended, and is sent at the
        /// first moment at which the thread is awake from then on.
        #[test]
        fn each_user_goes_on_when_it_has_thought(
            users in 1_usize..8, calls in 1_usize..12, think_ns in 0..20 * MS, ramp_up_ms in 0_u64..50, keeps_alive in any::<bool>(),
            stalls in prop::collection::vec(prop_oneof![4 => Just(0), 1 => 0..30 * MS], 1..30),
            services in prop::collection::vec(1..40 * MS, 1..20),
        ) {
            let think = if think_ns == 0 { Think::None } else { Think::Constant(Duration::from_nanos(think_ns)) };
            let plan = plan(users, calls, think, Duration::from_millis(ramp_up_ms));
            let mut wire = Paused::new(users, keeps_alive, services);
            wire.run(ByUsers::new(&plan, 0), &stalls);
            prop_assert!(wire.most_under_way <= users);
            for user in 0..users {
                let made: Vec<_> = wire.sent.iter().filter(|sent| sent.user as usize == user).collect();
                let number = u32::try_from(user).unwrap();
                let ends = &wire.ends[&number];
                prop_assert_eq!((made.len(), ends.len()), (calls, calls));
                let start_ns = ramp_up_ms * MS * user as u64 / users as u64;
                prop_assert!(made[0].at_ns.abs_diff(start_ns) <= 1);
                for (call, end) in made[1..].iter().zip(ends) {
                    prop_assert_eq!(call.at_ns, end + think_ns);
                }
                for call in made {
                    let woke = wire.moments.partition_point(|&moment| moment < call.at_ns);
                    prop_assert_eq!(call.sent_ns, Some(wire.moments[woke]));
                }
            }
        }
    }
}
