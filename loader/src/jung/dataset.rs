//! The requests of a user: table 2 of the thesis by default, in its order.

use protocol::load::JungMix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::names;

/// The sorts of requests, in the order in which a user sends them (thesis, figure 27).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `GET /users/<u>`
    GetUser,
    /// `GET /users/<u>/devices/<d>`
    GetDevice,
    /// `GET /users/<u>/devices/<d>/readings`
    GetReadings,
    /// `POST /users/<u>/devices/<d>/commands`
    PostCommand,
}

impl Endpoint {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::GetUser, Self::GetDevice, Self::GetReadings, Self::PostCommand];

    /// What tables and JTL files call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::GetUser => "GET user",
            Self::GetDevice => "GET device",
            Self::GetReadings => "GET readings",
            Self::PostCommand => "POST command",
        }
    }
}

/// A request to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its sort.
    pub endpoint: Endpoint,
    /// The device that it is about; empty for a user's.
    pub device: String,
    /// The state that a command sets, which the rules do not want.
    pub value: f64,
}

/// The requests of a user, the same for the same seed.
#[must_use]
pub fn requests(seed: u64, user: u32, devices: u32, mix: JungMix) -> Vec<Planned> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(u64::from(user)));
    let counts = [mix.get_user, mix.get_device, mix.get_readings, mix.post_command];
    let mut plan = Vec::new();
    for (endpoint, count) in Endpoint::ALL.into_iter().zip(counts) {
        for _ in 0..count {
            let device = match endpoint {
                Endpoint::GetUser => String::new(),
                _ => names::device(user, rng.random_range(0..devices.max(1))),
            };
            let value = names::WANTED + f64::from(rng.random_range(1..=1000_u32));
            plan.push(Planned {
                endpoint,
                device,
                value,
            });
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_2_is_kept_in_order_and_from_the_seed() {
        let plan = requests(7, 3, 30, JungMix::TABLE_2);
        assert_eq!(plan.len(), 500);
        assert!(plan.is_sorted_by_key(|it| it.endpoint));
        assert_eq!(plan, requests(7, 3, 30, JungMix::TABLE_2));
        assert_ne!(plan, requests(8, 3, 30, JungMix::TABLE_2));
        assert!(plan[25..].iter().all(|it| it.device.starts_with("device-3-")));
        assert!(plan.iter().all(|it| it.value > names::WANTED));
    }
}
