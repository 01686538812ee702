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

pub mod api_gateway;
pub mod auth_manager;
pub mod bench;
pub mod bus;
pub mod device_commander;
pub mod device_gateway;
pub mod device_monitor;
pub mod device_registry;
mod every_second;
mod handler;
mod http;
pub mod message;
mod options;
pub mod rule_engine;
mod run;
pub mod service;
pub mod trace;
pub mod user_registry;
mod worker;

#[cfg(test)]
mod tests;

pub use options::Options;
pub use run::{JungError, run};
