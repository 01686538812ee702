//! A load and what it goes to.

use std::time::Duration;

use protocol::load::{
    EchoSpec, JungSpec, LettersSpec, LoadSpec, MaxSpec, MixSpec, RateSpec, TargetSpec, TimingSpec, UdpSpec, UsersSpec,
};
use workloads::jung::bench::dataset::Mix;

use crate::config::{
    Arrivals, JungWorkload, LoadKind, MaxLoad, MixPart, RateLoad, Think, Timing, UdpLoad, UserRequests, UsersLoad,
    WorkloadKind,
};

/// A load as loaders are told of it; `None`: it is of a kind that cannot be split.
#[must_use]
pub fn load_spec(kind: &LoadKind) -> Option<LoadSpec> {
    Some(match kind {
        LoadKind::Rate(load) => LoadSpec::Rate(RateSpec {
            rate_per_s: load.rate_per_s,
            timing: timing_spec(load.timing),
            poisson: load.arrivals == Arrivals::Poisson,
            keep_alive: load.keep_alive,
        }),
        LoadKind::Users(load) => LoadSpec::Users(users_spec(load)),
        LoadKind::Max(load) => LoadSpec::Max(MaxSpec {
            connections: load.connections,
            timing: timing_spec(load.timing),
            keep_alive: load.keep_alive,
        }),
        LoadKind::Udp(load) if load.search.is_none() => LoadSpec::Udp(UdpSpec {
            packets: load.packets,
            size: load.size,
            pace_ns: ns(load.pace),
            window: load.window,
            timing: timing_spec(load.timing),
        }),
        LoadKind::Ramp(_) | LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::None(_) | LoadKind::Udp(_) => {
            return None;
        }
    })
}

fn users_spec(load: &UsersLoad) -> UsersSpec {
    let part = |part: &MixPart| MixSpec {
        path: part.path.clone(),
        label: part.label.clone(),
        share: part.share,
    };
    UsersSpec {
        users: load.users,
        timing: timing_spec(load.timing),
        requests: load.requests.map(|list| list.each),
        warm_up_requests: load.requests.map_or(0, |list| list.warm_up),
        think_ns: ns(load.think.mean()),
        exponential: matches!(load.think, Think::Exponential(_)),
        ramp_up_ns: ns(load.ramp_up),
        keep_alive: load.keep_alive,
        mix: load.mix.iter().map(part).collect(),
    }
}

/// The load that a loader was told of, on these CPUs.
#[must_use]
pub fn load_kind(spec: &LoadSpec, cpus: Vec<usize>) -> LoadKind {
    match spec {
        LoadSpec::Rate(load) => LoadKind::Rate(RateLoad {
            rate_per_s: load.rate_per_s,
            timing: timing(load.timing),
            arrivals: if load.poisson {
                Arrivals::Poisson
            } else {
                Arrivals::Uniform
            },
            keep_alive: load.keep_alive,
            cpus,
        }),
        LoadSpec::Users(load) => LoadKind::Users(users(load, cpus)),
        LoadSpec::Max(load) => LoadKind::Max(MaxLoad {
            connections: load.connections,
            timing: timing(load.timing),
            keep_alive: load.keep_alive,
            cpus,
        }),
        LoadSpec::Udp(load) => LoadKind::Udp(UdpLoad {
            packets: load.packets,
            size: load.size,
            pace: Duration::from_nanos(load.pace_ns),
            window: load.window,
            search: None,
            timing: timing(load.timing),
            cpus,
        }),
    }
}

fn users(load: &UsersSpec, cpus: Vec<usize>) -> UsersLoad {
    let part = |part: &MixSpec| MixPart {
        path: part.path.clone(),
        label: part.label.clone(),
        share: part.share,
    };
    let pause = Duration::from_nanos(load.think_ns);
    UsersLoad {
        users: load.users,
        timing: timing(load.timing),
        requests: load.requests.map(|each| UserRequests {
            each,
            warm_up: load.warm_up_requests,
        }),
        think: if load.exponential {
            Think::Exponential(pause)
        } else {
            Think::Constant(pause)
        },
        ramp_up: Duration::from_nanos(load.ramp_up_ns),
        keep_alive: load.keep_alive,
        mix: load.mix.iter().map(part).collect(),
        cpus,
    }
}

/// What is under load, as loaders are told of it.
#[must_use]
pub fn target_spec(workload: &WorkloadKind) -> TargetSpec {
    let letters = |count| TargetSpec::Letters(LettersSpec { count });
    match workload {
        WorkloadKind::Tcp(tcp) => letters(tcp.reply_bytes),
        WorkloadKind::Udp(udp) => udp
            .letters
            .map_or(TargetSpec::Echo(EchoSpec {}), |count| letters(count.into())),
        WorkloadKind::Jung(jung) => TargetSpec::Jung(jung_spec(jung)),
    }
}

fn jung_spec(jung: &JungWorkload) -> JungSpec {
    JungSpec {
        devices: jung.amounts.devices,
        get_user: jung.mix.get_user,
        get_device: jung.mix.get_device,
        get_readings: jung.mix.get_readings,
        post_command: jung.mix.post_command,
    }
}

/// What Jung's users have on their lists.
#[must_use]
pub const fn mix(spec: &JungSpec) -> Mix {
    Mix {
        get_user: spec.get_user,
        get_device: spec.get_device,
        get_readings: spec.get_readings,
        post_command: spec.post_command,
    }
}

fn timing_spec(timing: Timing) -> TimingSpec {
    TimingSpec {
        warm_up_ns: ns(timing.warm_up),
        duration_ns: ns(timing.duration),
        timeout_ns: ns(timing.timeout),
    }
}

const fn timing(spec: TimingSpec) -> Timing {
    Timing {
        warm_up: Duration::from_nanos(spec.warm_up_ns),
        duration: Duration::from_nanos(spec.duration_ns),
        timeout: Duration::from_nanos(spec.timeout_ns),
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(10),
        timeout: Duration::from_millis(1500),
    };

    #[test]
    fn a_load_that_goes_out_comes_in_the_same() {
        let part = MixPart {
            path: "/a".to_owned(),
            label: "a".to_owned(),
            share: 3,
        };
        let users = UsersLoad {
            users: 7,
            timing: TIMING,
            requests: Some(UserRequests { each: 9, warm_up: 2 }),
            think: Think::Exponential(Duration::from_millis(3)),
            ramp_up: Duration::from_secs(4),
            keep_alive: true,
            mix: vec![part],
            cpus: vec![1],
        };
        let rate = RateLoad {
            rate_per_s: 12.5,
            timing: TIMING,
            arrivals: Arrivals::Poisson,
            keep_alive: true,
            cpus: vec![1],
        };
        let max = MaxLoad {
            connections: 3,
            timing: TIMING,
            keep_alive: false,
            cpus: vec![1],
        };
        let udp = UdpLoad {
            packets: 100,
            size: 10,
            pace: Duration::from_nanos(2001),
            window: Some(4),
            search: None,
            timing: TIMING,
            cpus: vec![1],
        };
        for kind in [
            LoadKind::Users(users),
            LoadKind::Rate(rate),
            LoadKind::Max(max),
            LoadKind::Udp(udp),
        ] {
            assert_eq!(load_kind(&load_spec(&kind).unwrap(), vec![1]), kind);
        }
    }
}
