//! The closed-loop engine: every user sends its next request when the last reply has arrived and its think time is over.

mod plan;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use mio::Token;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Engine;
use super::call::{Call, CallBytes};
use super::clock::nanos;
use super::control::Control;
use super::error::{ErrorKind, LoadError};
use super::http::{Due, Ended, Pacer, Setup, Transport};
use super::outcome::Outcome;
pub use plan::{Extent, Script, Think, UsersPlan, max_connections};

/// The engine `users`.
#[derive(Debug, Clone)]
pub struct Users {
    plan: UsersPlan,
}

impl Users {
    /// Checks the plan and builds the engine.
    ///
    /// # Errors
    /// Problems of the plan.
    pub fn new(plan: UsersPlan) -> Result<Self, LoadError> {
        plan.check()?;
        Ok(Self { plan })
    }

    fn setup(&self) -> Setup {
        let plan = &self.plan;
        Setup {
            cpus: plan.cpus.clone(),
            timeout: plan.timeout,
            spin: plan.spin,
            real_time: false,
            wait: plan.wait,
            keeps_alive: plan.keep_alive,
            max_connections: plan.max_connections(),
            window: plan.window(),
            labels: plan.labels.clone(),
            tls: plan.tls.clone(),
            templates: CallBytes::any_template(&plan.calls),
        }
    }
}

impl Engine for Users {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let setup = self.setup();
        setup.run(control, |thread, _| UserPacer::new(&self.plan, thread))
    }
}

/// Pause after a connection error, so that a service that is down is not flooded with connection attempts.
const RETRY_NS: u64 = 10_000_000;

/// The pacer of a closed loop: the users of one thread.
#[derive(Debug)]
pub struct UserPacer<'a> {
    calls: &'a [Call],
    /// The index of each call's address in [`User::connections`].
    addresses: Vec<usize>,
    users: Vec<User<'a>>,
    /// Users of the whole load.
    all_users: u64,
    /// Thinking users, by the time at which they are ready.
    thinking: BinaryHeap<Reverse<(u64, u32)>>,
    think: Think,
    warm_up_ns: u64,
    warm_up_calls: u32,
    end_ns: u64,
    keeps_alive: bool,
}

#[derive(Debug)]
struct User<'a> {
    /// Its number in the whole load.
    number: u64,
    list: &'a [u32],
    repeat: bool,
    next: usize,
    /// Calls made so far.
    made: u64,
    /// Its connection to each address, if any.
    connections: Box<[Option<Token>]>,
    /// Index of the address of the outstanding call.
    address: usize,
    random: Option<Box<ChaCha8Rng>>,
}

impl<'a> UserPacer<'a> {
    pub fn new(plan: &'a UsersPlan, thread: usize) -> Self {
        let (addresses, count) = index_addresses(&plan.calls);
        let own = || plan.own().skip(thread).step_by(plan.threads());
        let users: Vec<_> = own().map(|number| User::new(plan, number, count)).collect();
        let (warm_up_ns, warm_up_calls, end_ns) = match plan.extent {
            Extent::Window { warm_up, duration } => (nanos(warm_up), 0, nanos(warm_up + duration)),
            Extent::Lists { warm_up_calls, at_most } => (0, warm_up_calls, nanos(at_most)),
        };
        let mut thinking = BinaryHeap::with_capacity(users.len());
        for (index, number) in own().enumerate() {
            let start = plan.ramp_up.mul_f64(number as f64 / plan.users.len() as f64);
            if nanos(start) < end_ns {
                thinking.push(Reverse((nanos(start), u32::try_from(index).unwrap_or(u32::MAX))));
            }
        }
        Self {
            calls: &plan.calls,
            addresses,
            users,
            all_users: plan.users.len() as u64,
            thinking,
            think: plan.think,
            warm_up_ns,
            warm_up_calls,
            end_ns,
            keeps_alive: plan.keep_alive,
        }
    }

    /// A user's next call, if it has one.
    fn due(&self, index: u32, at_ns: u64) -> Option<(Due<'a>, usize)> {
        let user = self.users.get(index as usize)?;
        let which = user.next_call()?;
        let due = Due {
            call: &self.calls[which],
            // The first calls of all users, then their second, ...
            number: user.made * self.all_users + user.number,
            at_ns,
            warm_up: at_ns < self.warm_up_ns || user.made < u64::from(self.warm_up_calls),
            user: index,
        };
        Some((due, self.addresses[which]))
    }

    /// Sends a user's next call, if it has one and the load has not ended.
    fn call(&mut self, transport: &mut impl Transport<'a>, index: u32, at_ns: u64) {
        let Some((due, address)) = self.due(index, at_ns).filter(|_| at_ns < self.end_ns) else {
            return;
        };
        let user = &mut self.users[index as usize];
        user.advance();
        user.address = address;
        let open = user.connections[address].take();
        if !open.is_some_and(|token| transport.send(token, due)) {
            self.connect(transport, due);
        }
    }

    /// Connects, or retries later: connections that the server has yet to close may temporarily use up the limit.
    fn connect(&mut self, transport: &mut impl Transport<'a>, due: Due<'a>) {
        if transport.has_room() {
            transport.connect(due);
        } else {
            transport.never_sent(due, transport.now_ns(), ErrorKind::NotSent);
            self.thinking.push(Reverse((transport.now_ns() + RETRY_NS, due.user)));
        }
    }
}

impl<'a> Pacer<'a> for UserPacer<'a> {
    fn start_due(&mut self, transport: &mut impl Transport<'a>, max: usize) {
        for _ in 0..max {
            let Some(&Reverse((at_ns, number))) = self.thinking.peek() else {
                return;
            };
            if at_ns > transport.now_ns() {
                return;
            }
            self.thinking.pop();
            self.call(transport, number, at_ns);
        }
    }

    fn ended(&mut self, transport: &mut impl Transport<'a>, end: Ended) {
        let Some(user) = self.users.get_mut(end.user as usize) else {
            return;
        };
        if self.keeps_alive {
            user.connections[user.address] = end.idle;
        }
        let pause_ns = match self.think {
            Think::None => 0,
            Think::Constant(pause) => nanos(pause),
            Think::Exponential { mean, .. } => user.draw(mean),
        };
        let pause_ns = if end.error.is_some_and(ErrorKind::is_connect_error) {
            pause_ns.max(RETRY_NS)
        } else {
            pause_ns
        };
        if pause_ns == 0 {
            self.call(transport, end.user, end.at_ns);
        } else if end.at_ns.saturating_add(pause_ns) < self.end_ns {
            self.thinking.push(Reverse((end.at_ns + pause_ns, end.user)));
        }
    }

    fn upcoming(&self) -> Option<Due<'a>> {
        let Reverse((at_ns, index)) = *self.thinking.peek()?;
        self.due(index, at_ns).map(|(due, _)| due)
    }

    fn next_ns(&self) -> Option<u64> {
        self.thinking.peek().map(|Reverse((at_ns, _))| *at_ns)
    }

    fn is_done(&self) -> bool {
        self.thinking.is_empty()
    }

    fn cancel(&mut self, _: &mut impl Transport<'a>, now_ns: u64) {
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
            number: number as u64,
            list: &script.calls,
            repeat: script.repeat,
            next: 0,
            made: 0,
            connections: vec![None; addresses].into_boxed_slice(),
            address: 0,
            random,
        }
    }

    /// The next call of its script; `None` at the end.
    fn next_call(&self) -> Option<usize> {
        let is_over = self.next == self.list.len() && self.repeat;
        let call = self.list.get(if is_over { 0 } else { self.next })?;
        Some(*call as usize)
    }

    /// Moves on to the call after the next.
    fn advance(&mut self) {
        let is_over = self.next == self.list.len() && self.repeat;
        self.next = if is_over { 1 } else { self.next + 1 };
        self.made += 1;
    }

    /// An exponentially distributed time with this mean, ns.
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

/// The index of each call's address among the distinct addresses, and the number of those.
fn index_addresses(calls: &[Call]) -> (Vec<usize>, usize) {
    let mut known: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    let mut index = |call: &Call| {
        let next = known.len();
        *known.entry(call.address).or_insert(next)
    };
    let indices = calls.iter().map(&mut index).collect();
    (indices, known.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::Label;
    use crate::http::fake::{FakeTransport, call};

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
        /// For any stalls: every user makes all its calls, one at a time; the next one is due one think time after the last one completed, and is sent at the
        /// first wake-up at or after that.
        #[test]
        fn calls_follow_after_the_think_time(
            users in 1_usize..8, calls in 1_usize..12, think_ns in 0..20 * MS, ramp_up_ms in 0_u64..50, keeps_alive in any::<bool>(),
            stalls in prop::collection::vec(prop_oneof![4 => Just(0), 1 => 0..30 * MS], 1..30),
            services in prop::collection::vec(1..40 * MS, 1..20),
        ) {
            let think = if think_ns == 0 { Think::None } else { Think::Constant(Duration::from_nanos(think_ns)) };
            let plan = plan(users, calls, think, Duration::from_millis(ramp_up_ms));
            let mut transport = FakeTransport::new(users, keeps_alive, services);
            transport.run(UserPacer::new(&plan, 0), &stalls);
            prop_assert!(transport.max_outstanding <= users);
            for user in 0..users {
                let made: Vec<_> = transport.sent.iter().filter(|sent| sent.user as usize == user).collect();
                let number = u32::try_from(user).unwrap();
                let ends = &transport.ends[&number];
                prop_assert_eq!((made.len(), ends.len()), (calls, calls));
                let start_ns = ramp_up_ms * MS * user as u64 / users as u64;
                prop_assert!(made[0].at_ns.abs_diff(start_ns) <= 1);
                for (call, end) in made[1..].iter().zip(ends) {
                    prop_assert_eq!(call.at_ns, end + think_ns);
                }
                for call in made {
                    let first = transport.wakeups.partition_point(|&wakeup| wakeup < call.at_ns);
                    prop_assert_eq!(call.sent_ns, Some(transport.wakeups[first]));
                }
            }
        }
    }
}
