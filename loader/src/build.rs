//! The engine of a load: what an experiment orders, with the address of the service.

use std::net::SocketAddr;

use protocol::load::{
    HttperfLoad, JmeterLoad, LoadKind, LoadSpec, MaxLoad, MixPart, RampLoad, RateLoad, TargetSpec, Think, Timing,
    UdpLoad, UsersLoad, Wait,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::Engine;
use crate::call::{Call, Label, Message};
use crate::error::LoadError;
use crate::external::httperf::{Httperf, HttperfPlan};
use crate::external::jmeter::{Jmeter, JmeterPlan};
use crate::jung::{self, AcceptedCommands};
use crate::max::{Max, MaxPlan};
use crate::part::Part;
use crate::plan::{Connections, RatePlan};
use crate::ramp::{RampPlan, Ramping};
use crate::rate::Rate;
use crate::rest::Rest;
use crate::target::{BodyRule, Expect, Target};
use crate::udp::{Udp, UdpPlan, UdpReply};
use crate::users::{self, Extent, Script, Users, UsersPlan};

/// The service's path that is loaded where the load names none.
const PATH: &str = "/";

/// Connections of a keep-alive pool that are opened before the load.
const KEEP_ALIVE_POOL: u32 = 16;

/// What an engine is to fire.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The whole load.
    pub load: &'a LoadSpec,
    /// Which part of it is this machine's.
    pub part: Part,
    /// The seed of what is random in it.
    pub seed: u64,
    /// What is under load.
    pub target: &'a TargetSpec,
    /// Where it answers.
    pub address: SocketAddr,
}

/// The engine of a load. The seed differs from trial to trial, so that what is random is drawn anew, and is the same whenever the experiment is run
/// again. What the services accept goes into `accepted`.
///
/// # Errors
/// What is wrong with the plan.
pub fn engine(order: Order<'_>, accepted: &AcceptedCommands) -> Result<Box<dyn Engine + Send>, LoadError> {
    let body = match order.target {
        TargetSpec::Letters(letters) => BodyRule::Repeat {
            byte: b'A',
            count: letters.count,
        },
        TargetSpec::Echo(_) => BodyRule::Any,
        TargetSpec::Jung(spec) => return jung::engine(order, *spec, accepted),
    };
    one_service(order, &Expect { status: 200, body })
}

/// The engine of a load on one service, whose replies are all the same.
fn one_service(order: Order<'_>, expect: &Expect) -> Result<Box<dyn Engine + Send>, LoadError> {
    let Order {
        load: LoadSpec { kind, wait },
        part,
        seed,
        address,
        ..
    } = order;
    let wait = *wait;
    let target = Target {
        address,
        path: PATH.to_owned(),
        expect: expect.clone(),
    };
    Ok(match kind {
        LoadKind::Rate(load) => Box::new(Rate::new(rate_plan(load, (wait, part), seed), target)?),
        LoadKind::Ramp(load) => Box::new(Ramping::new(ramp_plan(load, wait, seed), target)?),
        LoadKind::Users(load) => Box::new(Users::new(UsersPlan {
            part,
            ..users_plan((load, wait), address, expect, seed)?
        })?),
        LoadKind::Max(load) => Box::new(Max::new(&max_plan(load, (wait, part)), &target)?),
        LoadKind::Httperf(load) => Box::new(httperf(load, target)),
        LoadKind::Jmeter(load) => Box::new(jmeter(load, target)),
        LoadKind::None(load) => Box::new(Rest::new(load.timing.duration)),
        LoadKind::Udp(load) => Box::new(Udp::new(udp_plan(load, (wait, part), expect), address)?),
    })
}

/// CPUs as the engines index them.
fn indices(cpus: &[u32]) -> Vec<usize> {
    cpus.iter().map(|&cpu| cpu as usize).collect()
}

/// Connections that a part of a load can have open at once; `None`: not an engine of ours over TCP. Closed loops over several services can have
/// more, by as many times as there are services.
#[must_use]
pub fn load_connections(kind: &LoadKind, part: Part) -> Option<u64> {
    let closed = |users: u32, keep_alive, cpus: &[u32]| {
        users::most_connections(part.count(users.into()), 1, keep_alive, cpus.len().max(1))
    };
    match kind {
        LoadKind::Rate(load) => Some(rate_plan(load, (Wait::Sleep, part), 0).most_connections()),
        LoadKind::Ramp(load) => Some(ramp_plan(load, Wait::Sleep, 0).step.most_connections()),
        LoadKind::Users(load) => Some(closed(load.users, load.keep_alive, &load.cpus)),
        LoadKind::Max(load) => Some(closed(load.connections, load.keep_alive, &load.cpus)),
        LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::None(_) | LoadKind::Udp(_) => None,
    }
}

fn rate_plan(load: &RateLoad, (wait, part): (Wait, Part), seed: u64) -> RatePlan {
    let Timing {
        warm_up,
        duration,
        timeout,
    } = load.timing;
    let plan = RatePlan {
        warm_up,
        timeout,
        arrivals: load.arrivals,
        seed,
        part,
        cpus: indices(&load.cpus),
        wait,
        ..RatePlan::new(load.rate_per_s, duration)
    };
    let most = u32::try_from(plan.most_connections()).unwrap_or(u32::MAX);
    let keep_alive = load.keep_alive.then_some(Connections::KeepAlive {
        pool: most.min(KEEP_ALIVE_POOL),
        at_most: most,
    });
    RatePlan {
        connections: keep_alive.unwrap_or(plan.connections),
        ..plan
    }
}

fn ramp_plan(load: &RampLoad, wait: Wait, seed: u64) -> RampPlan {
    // Pools and limits of connections are those that the highest rate may need.
    let step = RateLoad {
        rate_per_s: load.bounds.to,
        timing: load.step,
        arrivals: load.arrivals,
        keep_alive: load.keep_alive,
        cpus: load.cpus.clone(),
    };
    RampPlan {
        bounds: load.bounds,
        limit: load.limit,
        step: rate_plan(&step, (wait, Part::WHOLE), seed),
    }
}

fn max_plan(load: &MaxLoad, (wait, part): (Wait, Part)) -> MaxPlan {
    MaxPlan {
        warm_up: load.timing.warm_up,
        timeout: load.timing.timeout,
        keep_alive: load.keep_alive,
        part,
        cpus: indices(&load.cpus),
        wait,
        ..MaxPlan::new(load.connections, load.timing.duration)
    }
}

fn httperf(load: &HttperfLoad, target: Target) -> Httperf {
    Httperf {
        plan: HttperfPlan {
            rate_per_s: load.rate_per_s,
            duration: load.timing.duration,
            calls: load.calls,
            timeout: load.timing.timeout,
        },
        warm_up: load.timing.warm_up,
        cpus: indices(&load.cpus),
        target,
    }
}

fn jmeter(load: &JmeterLoad, target: Target) -> Jmeter {
    Jmeter {
        plan: JmeterPlan {
            threads: load.users,
            duration: load.timing.warm_up + load.timing.duration,
            think: load.think,
            keep_alive: load.keep_alive,
            timeout: load.timing.timeout,
        },
        warm_up: load.timing.warm_up,
        cpus: indices(&load.cpus),
        target,
    }
}

/// The letters of a reply are those of the body that the service answers with; any body is an echo.
fn udp_plan(load: &UdpLoad, (wait, part): (Wait, Part), expect: &Expect) -> UdpPlan {
    let letters = expect.body.length().and_then(|letters| usize::try_from(letters).ok());
    UdpPlan {
        size: load.size as usize,
        pace: load.pace,
        window: load.window,
        timeout: load.timing.timeout,
        warm_up: load.timing.warm_up,
        search: load.search,
        reply: letters.map_or(UdpReply::Echo, UdpReply::Letters),
        part,
        cpus: indices(&load.cpus),
        wait,
        ..UdpPlan::new(load.packets)
    }
}

fn users_plan(
    (load, wait): (&UsersLoad, Wait),
    address: SocketAddr,
    expect: &Expect,
    seed: u64,
) -> Result<UsersPlan, LoadError> {
    let (mut calls, mut labels) = (Vec::new(), Vec::new());
    for (label, part) in (0..).zip(&load.mix) {
        calls.push(Call {
            address,
            label,
            bytes: Message::get(&part.path, load.keep_alive).to_bytes(address)?.into(),
            expect: expect.clone(),
        });
        labels.push(Label {
            name: part.label.clone(),
            url: format!("http://{address}{}", part.path),
        });
    }
    let users = (0..load.users).map(|user| script(load, u64::from(user), seed));
    Ok(paced(
        (load, wait),
        seed,
        UsersPlan::new(calls, labels, users.collect(), extent(load)),
    ))
}

/// When the users of a load are done.
pub(crate) fn extent(load: &UsersLoad) -> Extent {
    let Timing { warm_up, duration, .. } = load.timing;
    match load.requests {
        None => Extent::Window { warm_up, duration },
        Some(list) => Extent::Lists {
            warm_up_calls: list.warm_up,
            at_most: duration,
        },
    }
}

/// A plan with the pace that a load has, whatever it asks for.
pub(crate) fn paced((load, wait): (&UsersLoad, Wait), seed: u64, plan: UsersPlan) -> UsersPlan {
    UsersPlan {
        think: match load.think {
            Think::Constant(pause) if pause.is_zero() => users::Think::None,
            Think::Constant(pause) => users::Think::Constant(pause),
            Think::Exponential(mean) => users::Think::Exponential { mean, seed },
        },
        keep_alive: load.keep_alive,
        timeout: load.timing.timeout,
        ramp_up: load.ramp_up,
        cpus: indices(&load.cpus),
        wait,
        ..plan
    }
}

/// What a user asks for: a deck with each part of the mix as often as its share says, shuffled anew for each round, so that shares are kept exactly
/// in each round. Without a number of requests the rounds are those of [`ROUNDS`], again and again.
fn script(load: &UsersLoad, user: u64, seed: u64) -> Script {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Apart from the streams of the same seed that the think times are drawn from.
    random.set_stream((1 << 32) + user);
    let deck: Vec<u32> = deck(&load.mix);
    let length = load.requests.map_or(deck.len() * ROUNDS, |list| list.each as usize);
    let mut calls = Vec::with_capacity(length + deck.len());
    while calls.len() < length {
        let mut round = deck.clone();
        round.shuffle(&mut random);
        calls.append(&mut round);
    }
    calls.truncate(length);
    // Users who repeat would all begin with the same part of their mix if they all began at its start; they do not, as decks are shuffled.
    Script {
        calls,
        repeat: load.requests.is_none(),
    }
}

/// Shuffled rounds of a user's mix before they come again.
const ROUNDS: usize = 16;

fn deck(mix: &[MixPart]) -> Vec<u32> {
    (0..)
        .zip(mix)
        .flat_map(|(place, part)| std::iter::repeat_n(place, part.share as usize))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use protocol::load::UserRequests;

    fn load(requests: Option<u32>) -> UsersLoad {
        let part = |path: &str, share| MixPart {
            path: path.to_owned(),
            label: path.to_owned(),
            share,
        };
        UsersLoad {
            users: 3,
            timing: Timing {
                warm_up: Duration::ZERO,
                duration: Duration::from_secs(10),
                timeout: Duration::from_secs(1),
            },
            requests: requests.map(|each| UserRequests { each, warm_up: 0 }),
            think: Think::Constant(Duration::ZERO),
            ramp_up: Duration::ZERO,
            keep_alive: true,
            mix: vec![part("/a", 3), part("/b", 1)],
            cpus: vec![],
        }
    }

    fn plan(requests: Option<u32>, seed: u64) -> UsersPlan {
        let expect = Expect {
            status: 200,
            body: BodyRule::Any,
        };
        users_plan(
            (&load(requests), Wait::Sleep),
            ([127, 0, 0, 1], 80).into(),
            &expect,
            seed,
        )
        .unwrap()
    }

    #[test]
    fn shares_are_kept_in_every_round_and_users_differ() {
        let plan = plan(Some(400), 7);
        for user in &plan.users {
            assert_eq!(user.calls.len(), 400);
            for round in user.calls.chunks(4) {
                assert_eq!(round.iter().filter(|call| **call == 0).count(), 3);
            }
        }
        assert_ne!(plan.users[0], plan.users[1]);
    }

    #[test]
    fn a_seed_draws_the_same_and_another_draws_anew() {
        assert_eq!(plan(None, 7), plan(None, 7));
        assert_ne!(plan(None, 7), plan(None, 8));
        assert!(plan(None, 7).users.iter().all(|user| user.repeat));
    }
}
