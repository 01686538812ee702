//! The mark on everything that a runner creates, by which its leftovers, and nothing else, are found later.
//!
//! A process carries it in its environment, a container in its labels, a cgroup in its path.

use crate::Service;
use protocol::ids::{AttemptId, Name};

/// The environment variable with the runner's name.
pub const RUNNER: &str = "JUNG_RUNNER";
/// The environment variable with the attempt.
pub const ATTEMPT: &str = "JUNG_ATTEMPT";
/// The environment variable with the service.
pub const SERVICE: &str = "JUNG_SERVICE";

/// The label with the runner's name.
pub const RUNNER_LABEL: &str = "jung.runner";
/// The label with the attempt.
pub const ATTEMPT_LABEL: &str = "jung.attempt";
/// The label with the service.
pub const SERVICE_LABEL: &str = "jung.service";

/// What something belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The runner that created it.
    pub runner: Name,
    /// The attempt that it was created for.
    pub attempt: AttemptId,
    /// The service that it belongs to.
    pub service: Name,
}

impl Mark {
    /// The mark of a service of a runner's deployment.
    #[must_use]
    pub fn of(runner: &Name, attempt: AttemptId, service: &Service) -> Self {
        Self {
            runner: runner.clone(),
            attempt,
            service: service.name.clone(),
        }
    }

    /// The mark as environment variables.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let [runner, attempt, service] = self.values();
        [(RUNNER, runner), (ATTEMPT, attempt), (SERVICE, service)]
    }

    /// The mark as container labels.
    #[must_use]
    pub fn labels(&self) -> [(&'static str, String); 3] {
        let [runner, attempt, service] = self.values();
        [
            (RUNNER_LABEL, runner),
            (ATTEMPT_LABEL, attempt),
            (SERVICE_LABEL, service),
        ]
    }

    /// The container's name. It is unique, since an attempt runs on one platform only.
    #[must_use]
    pub fn container(&self) -> String {
        format!("jung-{}-{}", self.attempt, self.service)
    }

    /// The name of the service's cgroup within [`cgroup_group`].
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("{}-{}", self.attempt, self.service)
    }

    /// Reads a mark from an environment in the form of `/proc/<pid>/environ`; `None`: there is none, or it is incomplete.
    #[must_use]
    pub fn in_environment(environ: &[u8]) -> Option<Self> {
        let value = |key: &str| {
            environ.split(|&b| b == 0).find_map(|entry| {
                let value = entry.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
                std::str::from_utf8(value).ok()
            })
        };
        Some(Self {
            runner: value(RUNNER)?.parse().ok()?,
            attempt: value(ATTEMPT)?.parse().ok()?,
            service: value(SERVICE)?.parse().ok()?,
        })
    }

    fn values(&self) -> [String; 3] {
        [
            self.runner.to_string(),
            self.attempt.to_string(),
            self.service.to_string(),
        ]
    }
}

/// The parent cgroup of all cgroups of a runner. A directory of its own, because a prefix `a` would also match the names of runner `a-b`.
#[must_use]
pub fn cgroup_group(runner: &Name) -> String {
    format!("jung-{runner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark {
            runner: "lab-1".parse().unwrap(),
            attempt: AttemptId::fresh(),
            service: "tcp".parse().unwrap(),
        }
    }

    #[test]
    fn a_mark_is_read_back_from_an_environment() {
        let mark = mark();
        let mut environ = b"PATH=/bin\0".to_vec();
        for (key, value) in mark.environment() {
            environ.extend(format!("{key}={value}\0").bytes());
        }
        assert_eq!(Mark::in_environment(&environ), Some(mark));
    }

    #[test]
    fn an_incomplete_mark_is_none() {
        for environ in [
            "",
            "PATH=/bin\0",
            "JUNG_RUNNER=lab\0",
            "JUNG_RUNNER=lab\0JUNG_ATTEMPT=7\0JUNG_SERVICE=tcp\0",
            "XJUNG_RUNNER=lab\0JUNG_ATTEMPTS=\0",
        ] {
            assert_eq!(Mark::in_environment(environ.as_bytes()), None, "{environ:?}");
        }
        assert_eq!(Mark::in_environment(b"JUNG_RUNNER=\xff\0"), None);
    }
}
