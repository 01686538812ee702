//! Something to do once a second for each of many devices, spread over the second.
//!
//! A second has [`SLOTS`] slots and a device's name says which is its own, so that 900 devices make a steady trickle
//! and not a wave, and every device has its turn exactly once a second.

use std::time::Duration;

use tokio::time::{Interval, interval};

use super::message::DeviceId;

/// Slots of a second.
const SLOTS: usize = 50;

/// A clock that says whose turn it is.
#[derive(Debug)]
pub struct EverySecond {
    interval: Interval,
    slot: usize,
}

impl EverySecond {
    /// Starts with slot 0.
    #[must_use]
    pub fn start() -> Self {
        let length = Duration::from_secs(1) / u32::try_from(SLOTS).unwrap_or(1);
        Self {
            interval: interval(length),
            slot: SLOTS - 1,
        }
    }

    /// Waits for the next slot. A late one is caught up with, not left out.
    pub async fn next(&mut self) -> usize {
        self.interval.tick().await;
        self.slot = (self.slot + 1) % SLOTS;
        self.slot
    }
}

/// The slot of a device, by the FNV-1a hash of its name.
#[must_use]
pub fn slot_of(device: &DeviceId) -> usize {
    let hash = device.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % u64::try_from(SLOTS).unwrap_or(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_slot_has_its_turn_once_a_second() {
        let mut clock = EverySecond::start();
        let start = tokio::time::Instant::now();
        for turn in 0..3 * SLOTS {
            assert_eq!(clock.next().await, turn % SLOTS);
        }
        assert_eq!(start.elapsed().as_millis(), 2980);
    }

    #[test]
    fn devices_spread_over_the_slots() {
        let mut counts = [0; SLOTS];
        for number in 0..900 {
            counts[slot_of(&DeviceId::try_from(format!("device-{number:03}")).unwrap())] += 1;
        }
        assert!(counts.iter().all(|count| (5..=40).contains(count)), "{counts:?}");
    }
}
