//! Builds the engine of a load from its specification and the address of the service.

use std::net::SocketAddr;

use crate::Engine;
use crate::awake::KeptAwake;
use crate::calls::Calls;
use crate::error::LoadError;
use crate::external::command::Command;
use crate::external::httperf::{Httperf, HttperfPlan};
use crate::external::jmeter::{Jmeter, JmeterPlan};
use crate::external::runs::Runs;
use crate::idle::Idle;
use crate::jung::{self, AcceptedCommands};
use crate::max::{Max, MaxPlan};
use crate::part::Part;
use crate::ramp::{RampPlan, RampSearch};
use crate::rate::{Connections, Rate, RatePlan};
use crate::target::{BodyRule, Expect, Target};
use crate::udp::{Udp, UdpPlan, UdpReply};
use crate::users::{self, Extent, Users, UsersPlan};
use protocol::load::{
    HttperfLoad, JmeterLoad, LoadKind, LoadSpec, MaxLoad, RampLoad, RateLoad, TargetSpec, Think, Timing, UdpLoad,
    UsersLoad, Wait,
};

/// The default request path.
const PATH: &str = "/";

/// Keep-alive connections that are opened before the load.
const KEEP_ALIVE_POOL: u32 = 16;

/// The specification of an engine.
#[derive(Clone, Copy, Debug)]
pub struct EngineSpec<'a> {
    /// The whole load.
    pub load: &'a LoadSpec,
    /// The part of it that this machine generates.
    pub part: Part,
    /// Random seed.
    pub seed: u64,
    /// The service under load.
    pub target: &'a TargetSpec,
    /// Its address.
    pub address: SocketAddr,
}

/// Builds the engine of a load. Commands that the services accept are added to `accepted`.
///
/// # Errors
/// Problems of the plan.
pub fn build_engine(spec: EngineSpec<'_>, accepted: &AcceptedCommands) -> Result<Box<dyn Engine + Send>, LoadError> {
    if let LoadKind::Command(load) = &spec.load.kind {
        return Ok(Box::new(Command::new(load.as_ref().clone(), spec.address, spec.seed)));
    }
    let body = match spec.target {
        TargetSpec::Letters(letters) => BodyRule::Repeat {
            byte: b'A',
            count: letters.count,
        },
        TargetSpec::Echo(_) | TargetSpec::Described(_) => BodyRule::Any,
        TargetSpec::Jung(jung) => return Ok(kept_awake(spec, jung::engine(spec, *jung, accepted)?)),
    };
    Ok(kept_awake(spec, single_service(spec, &Expect::ok(body))?))
}

/// An engine that keeps the CPUs awake while it runs, if the load is one of ours and says so.
fn kept_awake(spec: EngineSpec<'_>, engine: Box<dyn Engine + Send>) -> Box<dyn Engine + Send> {
    match spec.load.kind {
        LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::Command(_) | LoadKind::None(_) | LoadKind::Runs(_) => {
            engine
        }
        _ if spec.load.keep_awake => Box::new(KeptAwake(engine)),
        _ => engine,
    }
}

/// The engine of a load on one service whose replies are all the same.
fn single_service(spec: EngineSpec<'_>, expect: &Expect) -> Result<Box<dyn Engine + Send>, LoadError> {
    let EngineSpec {
        load: LoadSpec { kind, wait, http, .. },
        part,
        seed,
        address,
        ..
    } = spec;
    let wait = *wait;
    let target = Target {
        address,
        path: PATH.to_owned(),
        expect: expect.clone(),
    };
    let calls = |keep_alive| Calls::of(http, address, expect, (keep_alive, seed));
    Ok(match kind {
        LoadKind::Rate(load) => {
            let plan = rate_plan(load, (wait, part), seed);
            Box::new(Rate::of_calls(plan, calls(load.keep_alive)?)?)
        }
        LoadKind::Ramp(load) => {
            let plan = ramp_plan(load, wait, seed);
            Box::new(RampSearch::of_calls(plan, calls(load.keep_alive)?)?)
        }
        LoadKind::Users(load) => Box::new(Users::new(UsersPlan {
            part,
            ..users_plan((load, wait), calls(load.keep_alive)?, seed)
        })?),
        LoadKind::Max(load) => {
            let plan = max_plan(load, (wait, part));
            Box::new(Max::of_calls(&plan, calls(load.keep_alive)?)?)
        }
        LoadKind::Httperf(load) => Box::new(httperf(load, target)),
        LoadKind::Jmeter(load) => Box::new(jmeter(load, target)),
        LoadKind::Command(load) => Box::new(Command::new(load.as_ref().clone(), address, seed)),
        LoadKind::None(load) => Box::new(Idle::new(load.timing.duration)),
        LoadKind::Runs(load) => Box::new(Runs::new(load.clone(), address)),
        LoadKind::Udp(load) => Box::new(Udp::new(udp_plan(load, (wait, part), expect), address)?),
    })
}

/// CPU numbers as `usize`.
fn indices(cpus: &[u32]) -> Vec<usize> {
    cpus.iter().map(|&cpu| cpu as usize).collect()
}

/// Maximum number of concurrent connections of a part of a load; `None`: not one of our TCP engines. Closed loops over several services multiply it
/// by the number of services.
#[must_use]
pub fn max_load_connections(kind: &LoadKind, part: Part) -> Option<u64> {
    let closed = |users: u32, keep_alive, cpus: &[u32]| {
        users::max_connections(part.count(users.into()), 1, keep_alive, cpus.len().max(1))
    };
    match kind {
        LoadKind::Rate(load) => Some(rate_plan(load, (Wait::Sleep, part), 0).max_connections()),
        LoadKind::Ramp(load) => Some(ramp_plan(load, Wait::Sleep, 0).step.max_connections()),
        LoadKind::Users(load) => Some(closed(load.users, load.keep_alive, &load.cpus)),
        LoadKind::Max(load) => Some(closed(load.connections, load.keep_alive, &load.cpus)),
        LoadKind::Httperf(_)
        | LoadKind::Jmeter(_)
        | LoadKind::Command(_)
        | LoadKind::None(_)
        | LoadKind::Udp(_)
        | LoadKind::Runs(_) => None,
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
    let max = u32::try_from(plan.max_connections()).unwrap_or(u32::MAX);
    let keep_alive = load.keep_alive.then_some(Connections::KeepAlive {
        pool: max.min(KEEP_ALIVE_POOL),
        at_most: max,
    });
    RatePlan {
        connections: keep_alive.unwrap_or(plan.connections),
        ..plan
    }
}

fn ramp_plan(load: &RampLoad, wait: Wait, seed: u64) -> RampPlan {
    // Pool size and connection limits follow from the highest rate.
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

/// A body of known length is that many letters; any other is an echo.
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

fn users_plan((load, wait): (&UsersLoad, Wait), calls: Calls, seed: u64) -> UsersPlan {
    let each = load.requests.map(|list| list.each);
    let users = (0..load.users).map(|user| calls.script(user.into(), each)).collect();
    let plan = UsersPlan {
        tls: calls.tls,
        ..UsersPlan::new(calls.calls, calls.labels, users, extent(load))
    };
    paced((load, wait), seed, plan)
}

/// The end condition of a load.
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

/// A plan with the think time, ramp-up and connection settings of a load.
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
