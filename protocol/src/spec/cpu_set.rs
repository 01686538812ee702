//! CPU sets.

use serde::{Deserialize, Serialize};

/// A set of CPUs in the kernel's list format, e.g. `0-1,3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuSet(Vec<u32>);

/// Not a valid [`CpuSet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a valid CPU list: use a list like 0-1,3 (numbers below 4096)")]
pub struct InvalidCpuSet {
    /// The invalid text.
    pub given: String,
}

impl CpuSet {
    /// The CPU numbers, sorted and unique.
    #[must_use]
    pub fn cpus(&self) -> &[u32] {
        &self.0
    }

    /// A set of these CPUs; `None`: it would be empty.
    #[must_use]
    pub fn of(mut cpus: Vec<u32>) -> Option<Self> {
        cpus.sort_unstable();
        cpus.dedup();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// The CPUs that are not in `other`; `None`: all are.
    #[must_use]
    pub fn without(&self, other: &Self) -> Option<Self> {
        Self::of(self.0.iter().copied().filter(|cpu| !other.0.contains(cpu)).collect())
    }

    /// The CPUs in both sets, sorted.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Vec<u32> {
        self.0.iter().copied().filter(|cpu| other.0.contains(cpu)).collect()
    }
}

impl std::str::FromStr for CpuSet {
    type Err = InvalidCpuSet;

    fn from_str(text: &str) -> Result<Self, InvalidCpuSet> {
        let bad = || InvalidCpuSet {
            given: text.chars().take(80).collect(),
        };
        let number = |part: &str| part.parse::<u32>().ok().filter(|&n| n < 4096).ok_or_else(bad);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(bad());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

impl TryFrom<String> for CpuSet {
    type Error = InvalidCpuSet;

    fn try_from(text: String) -> Result<Self, InvalidCpuSet> {
        text.parse()
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_string()
    }
}

impl std::fmt::Display for CpuSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match run {
                [only] => write!(f, "{only}")?,
                [first, .., last] => write!(f, "{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kernels_list_format_is_parsed() {
        let set: CpuSet = "3,0-1".parse().unwrap();
        assert_eq!(set.cpus(), [0, 1, 3]);
        assert_eq!(set.to_string(), "0-1,3");
        for bad in ["", "a", "1-", "-1", "2-1", "0,", "5000", "0-99999999"] {
            assert!(bad.parse::<CpuSet>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cpu_sets_round_trip(mut cpus in proptest::collection::vec(0u32..64, 1..20)) {
            let text = cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let set: CpuSet = text.parse().unwrap();
            cpus.sort_unstable();
            cpus.dedup();
            prop_assert_eq!(set.cpus(), &cpus[..]);
            prop_assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
        }
    }
}
