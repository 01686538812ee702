//! The eight services by name, and the topics that each of them owns.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the services of the thesis' figure 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Translates HTTP into tasks (section 4.1.1).
    ApiGateway,
    /// Says who may do what (4.1.2).
    AuthManager,
    /// Keeps users (4.1.3).
    UserRegistry,
    /// Keeps devices (4.1.4).
    DeviceRegistry,
    /// Keeps readings (4.1.5).
    DeviceMonitor,
    /// Sends commands to device gateways (4.1.6).
    DeviceCommander,
    /// Checks rules every second (4.1.7).
    RuleEngine,
    /// Simulates the devices (4.1.8).
    DeviceGateway,
}

impl Service {
    /// All of them, in the order of the thesis.
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

    /// What its topics are called after, as in the thesis' `user_tasks`; the API gateway is sent no tasks.
    #[must_use]
    pub fn stem(self) -> Option<&'static str> {
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

    /// The services that it sends tasks to and wants results from.
    #[must_use]
    pub fn asks(self) -> &'static [Self] {
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

    /// Its place in [`Service::ALL`].
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
    fn the_index_is_the_place_in_the_list() {
        for (place, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service.index(), place);
        }
    }

    #[test]
    fn nobody_waits_for_somebody_who_waits_for_him() {
        fn depth(service: Service, seen: usize) -> usize {
            assert!(seen < Service::ALL.len(), "a circle through {service}");
            service
                .asks()
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
