//! Why a deployment fails.

use std::net::SocketAddr;

use protocol::facts::Unmet;
use protocol::ids::Name;

/// Why a deployment could not be prepared, started or swept.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The host lacks something that the platform needs.
    #[error("{need}: {remedy}")]
    Unmet {
        /// What is missing.
        need: String,
        /// How to provide it.
        remedy: String,
    },
    /// A port is in use.
    #[error(
        "port {address} of service {service} is in use: stop the process that listens there (`ss -ltunp`), or give the workload another port"
    )]
    PortTaken {
        /// The service.
        service: Name,
        /// The address.
        address: SocketAddr,
    },
    /// An image does not exist.
    #[error("image {image} does not exist: {remedy}")]
    ImageMissing {
        /// Its name.
        image: String,
        /// How to provide it.
        remedy: String,
    },
    /// A file or a process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The platform reported an error.
    #[error("{platform}: {message}")]
    Platform {
        /// The platform.
        platform: &'static str,
        /// Its message, with a remedy where one is known.
        message: String,
    },
}

impl DeployError {
    /// The error as an unmet need, for a platform's facts. `remedy` is for errors that have none of their own.
    pub(crate) fn into_unmet(self, remedy: &str) -> Unmet {
        match self {
            Self::Unmet { need, remedy } => Unmet { need, remedy },
            Self::ImageMissing { image, remedy } => Unmet {
                need: format!("image {image} does not exist"),
                remedy,
            },
            other => Unmet {
                need: other.to_string(),
                remedy: remedy.into(),
            },
        }
    }
}
