//! The eight services, their names and dependencies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The services (figure 19 of the thesis).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Translates HTTP requests into tasks (section 4.1.1).
    ApiGateway,
    /// Authenticates and authorizes requests (4.1.2).
    AuthManager,
    /// Stores users (4.1.3).
    UserRegistry,
    /// Stores devices (4.1.4).
    DeviceRegistry,
    /// Stores readings (4.1.5).
    DeviceMonitor,
    /// Forwards commands to device gateways (4.1.6).
    DeviceCommander,
    /// Checks rules every second (4.1.7).
    RuleEngine,
    /// Simulates devices (4.1.8).
    DeviceGateway,
}

impl Service {
    /// All services, in the order of the thesis.
    pub const ALL: [Self; 8] = [
        Self::ApiGateway,
        Self::AuthManager,
        Self::UserRegistry,
        Self::DeviceRegistry,
        Self::DeviceMonitor,
        Self::DeviceCommander,
        Self::RuleEngine,
        Self::DeviceGateway,
    ];

    /// The name in options, messages and consumer groups.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiGateway => "api-gateway",
            Self::AuthManager => "auth-manager",
            Self::UserRegistry => "user-registry",
            Self::DeviceRegistry => "device-registry",
            Self::DeviceMonitor => "device-monitor",
            Self::DeviceCommander => "device-commander",
            Self::RuleEngine => "rule-engine",
            Self::DeviceGateway => "device-gateway",
        }
    }

    /// Prefix of its topic names, such as `user` in `user_tasks` (as in the thesis); `None` for the API gateway, which
    /// receives no tasks.
    #[must_use]
    pub fn topic_stem(self) -> Option<&'static str> {
        match self {
            Self::ApiGateway => None,
            Self::AuthManager => Some("auth"),
            Self::UserRegistry => Some("user"),
            Self::DeviceRegistry => Some("device"),
            Self::DeviceMonitor => Some("reading"),
            Self::DeviceCommander => Some("command"),
            Self::RuleEngine => Some("rule"),
            Self::DeviceGateway => Some("gateway"),
        }
    }

    /// The services to which it sends tasks and from which it expects results.
    #[must_use]
    pub fn dependencies(self) -> &'static [Self] {
        match self {
            Self::ApiGateway => &[
                Self::AuthManager,
                Self::UserRegistry,
                Self::DeviceRegistry,
                Self::DeviceMonitor,
                Self::DeviceCommander,
                Self::RuleEngine,
                Self::DeviceGateway,
            ],
            Self::AuthManager => &[Self::UserRegistry, Self::DeviceRegistry],
            Self::DeviceRegistry => &[Self::UserRegistry, Self::DeviceGateway],
            Self::DeviceCommander => &[Self::DeviceRegistry],
            Self::RuleEngine => &[Self::DeviceRegistry, Self::DeviceMonitor, Self::DeviceCommander],
            Self::UserRegistry | Self::DeviceMonitor | Self::DeviceGateway => &[],
        }
    }

    /// Its index in [`Service::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_matches_the_list() {
        for (place, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service.index(), place);
        }
    }

    #[test]
    fn dependencies_are_acyclic() {
        fn depth(service: Service, seen: usize) -> usize {
            assert!(seen < Service::ALL.len(), "dependency cycle through {service}");
            service
                .dependencies()
                .iter()
                .map(|next| depth(*next, seen + 1))
                .max()
                .unwrap_or(seen)
        }
        for service in Service::ALL {
            depth(service, 0);
        }
    }
}
