//! Jung: the IoT platform of Fraga's thesis (2019, chapter 4) as a benchmark, eight services that talk only through Kafka.
//!
//! ```text
//!   HTTP -> api-gateway --AUTH--> auth-manager --GET--> user-registry
//!               |                      `------GET--> device-registry --ADD_DEVICE--> user-registry
//!               |--READ--> device-monitor <--WRITE-- device-gateway <--ATTACH-- device-registry
//!               |--COMMAND--> device-commander --ACTUATE-->'
//!               `--CREATE--> rule-engine --READ--> device-monitor, --COMMAND--> device-commander
//! ```
//! Every arrow is a task on the topic `<service>_tasks`; results come back on `<service>_results` ([`bus`]). Nobody
//! directs: each service knows whom to ask. Differences from the thesis: a service may keep several tasks under way
//! (`--concurrency 1` does not), devices are made known to their gateway by ATTACH, and state survives the death of one of
//! several instances ([`bus::inbox`]).

#[cfg(feature = "jung")]
pub mod api_gateway;
#[cfg(feature = "jung")]
pub mod auth_manager;
pub mod bench;
#[cfg(feature = "jung")]
pub mod bus;
#[cfg(feature = "jung")]
pub mod device_commander;
#[cfg(feature = "jung")]
pub mod device_gateway;
#[cfg(feature = "jung")]
pub mod device_monitor;
#[cfg(feature = "jung")]
pub mod device_registry;
#[cfg(feature = "jung")]
mod every_second;
#[cfg(feature = "jung")]
mod handler;
#[cfg(feature = "jung")]
mod http;
pub mod message;
#[cfg(feature = "jung")]
mod options;
pub mod record;
#[cfg(feature = "jung")]
pub mod rule_engine;
#[cfg(feature = "jung")]
mod run;
pub mod service;
#[cfg(feature = "jung")]
pub mod trace;
#[cfg(feature = "jung")]
pub mod user_registry;
pub mod view;
#[cfg(feature = "jung")]
mod worker;

#[cfg(test)]
#[cfg(feature = "jung")]
mod tests;

#[cfg(feature = "jung")]
pub use options::Options;
#[cfg(feature = "jung")]
pub use run::{JungError, run};
