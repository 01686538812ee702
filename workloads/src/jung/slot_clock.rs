//! Spreads the once-a-second work of many devices evenly over the second.
//!
//! A second has [`SLOTS`] slots. A device's slot follows from its name, so that 900 devices cause a steady load instead
//! of bursts, and every device is handled exactly once a second.

use std::time::Duration;

use tokio::time::{Interval, interval};

use super::message::DeviceId;

/// Slots per second.
const SLOTS: usize = 50;

/// A clock that ticks once per slot.
#[derive(Debug)]
pub struct SlotClock {
    interval: Interval,
    slot: usize,
}

impl SlotClock {
    /// A clock that starts with slot 0.
    #[must_use]
    pub fn start() -> Self {
        let length = Duration::from_secs(1) / u32::try_from(SLOTS).unwrap_or(1);
        Self {
            interval: interval(length),
            slot: SLOTS - 1,
        }
    }

    /// Waits for the next slot. Late slots are caught up, not skipped.
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
    async fn every_slot_ticks_once_a_second() {
        let mut clock = SlotClock::start();
        let start = tokio::time::Instant::now();
        for turn in 0..3 * SLOTS {
            assert_eq!(clock.next().await, turn % SLOTS);
        }
        assert_eq!(start.elapsed().as_millis(), 2980);
    }

    #[test]
    fn devices_are_spread_over_the_slots() {
        let mut counts = [0; SLOTS];
        for number in 0..900 {
            counts[slot_of(&DeviceId::try_from(format!("device-{number:03}")).unwrap())] += 1;
        }
        assert!(counts.iter().all(|count| (5..=40).contains(count)), "{counts:?}");
    }
}
