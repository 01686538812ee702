//! What a platform says of its services itself, to be put beside what this host sees of them.

use protocol::sample::{Counters, OfService, Subject};

use crate::docker::EngineMeter;
use crate::qemu::GuestMeter;

/// What asks a platform for its own figures.
#[derive(Clone, Debug)]
pub enum Meter {
    /// A container engine, of its containers.
    Engine(EngineMeter),
    /// The systems in guests, of themselves.
    Guests(GuestMeter),
}

impl Meter {
    /// The figures now. What does not answer is left out.
    pub async fn read(&self) -> Vec<(Subject, Counters)> {
        match self {
            Self::Engine(meter) => {
                let figures = meter.read().await.into_iter();
                let of = |(service, counters)| (Subject::Engine(OfService { service }), counters);
                figures.map(of).collect()
            }
            Self::Guests(meter) => meter.read().await,
        }
    }
}
