//! What changes by the second.

use serde::{Deserialize, Serialize};

/// The host at the moment of the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostNow {
    /// The load average over one minute (`/proc/loadavg`).
    pub load_1m: Option<f64>,
    /// Ticks of all CPUs since boot that were not idle (`/proc/stat`: all fields but idle and iowait; guest time is in user).
    pub busy_ticks: Option<u64>,
    /// Ticks of all CPUs since boot.
    pub all_ticks: Option<u64>,
    /// Memory that can be had without swapping, bytes (`MemAvailable`).
    pub available_bytes: Option<u64>,
    /// Bytes that wait to be written or are being written (`Dirty` + `Writeback`).
    pub dirty_bytes: Option<u64>,
    /// Swap in use, bytes.
    pub swap_used_bytes: Option<u64>,
    /// Every sensor that can be read.
    pub temperatures: Vec<Temperature>,
    /// How often CPUs were slowed down for heat since boot (`cpu*/thermal_throttle/*_throttle_count`, summed).
    pub throttles: Option<u64>,
    /// The number of the kernel's newest message (`/dev/kmsg`): where its log stood.
    pub kernel_log: Option<u64>,
}

/// What a sensor shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// Its name, e.g. `x86_pkg_temp` or `k10temp Tctl`.
    pub sensor: String,
    /// Thousandths of a degree Celsius.
    pub millidegrees: i64,
}

impl HostNow {
    /// The highest temperature, degrees Celsius; `None`: no sensor.
    #[must_use]
    pub fn hottest(&self) -> Option<f64> {
        let highest = self.temperatures.iter().map(|sensor| sensor.millidegrees).max()?;
        Some(highest as f64 / 1000.0)
    }

    /// The share of all CPUs that was busy since an earlier look, percent; `None`: not known, or no time has passed.
    #[must_use]
    pub fn busy_percent_since(&self, earlier: &Self) -> Option<f64> {
        let busy = self.busy_ticks?.checked_sub(earlier.busy_ticks?)?;
        let all = self.all_ticks?.checked_sub(earlier.all_ticks?)?;
        (all > 0).then(|| busy as f64 * 100.0 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_needs_two_looks_in_order() {
        let at = |busy, all| HostNow {
            busy_ticks: Some(busy),
            all_ticks: Some(all),
            ..HostNow::default()
        };
        assert_eq!(at(30, 300).busy_percent_since(&at(10, 200)), Some(20.0));
        assert_eq!(at(10, 200).busy_percent_since(&at(30, 300)), None);
        assert_eq!(at(10, 200).busy_percent_since(&at(10, 200)), None);
        assert_eq!(at(10, 200).busy_percent_since(&HostNow::default()), None);
        assert_eq!(HostNow::default().hottest(), None);
    }
}
