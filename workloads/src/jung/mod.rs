//! Jung: the IoT platform of Fraga's thesis (2019, chapter 4) as a benchmark: eight services that communicate only over
//! Kafka.
//!
//! ```text
//!   HTTP -> api-gateway --AUTH--> auth-manager --GET--> user-registry
//!               |                      `------GET--> device-registry --ADD_DEVICE--> user-registry
//!               |--READ--> device-monitor <--WRITE-- device-gateway <--ATTACH-- device-registry
//!               |--COMMAND--> device-commander --ACTUATE-->'
//!               `--CREATE--> rule-engine --READ--> device-monitor, --COMMAND--> device-commander
//! ```
//! Every arrow is a task on the topic `<service>_tasks`; results are returned on `<service>_results` (`bus`). There is
//! no orchestrator; each service sends tasks to the services it depends on. Differences from the thesis: a service
//! processes several tasks concurrently (except with `--concurrency 1`), devices are registered at their gateway by
//! ATTACH, and state survives the crash of one of several instances (`bus::inbox`).
//!
//! | module | content |
//! |---|---|
//! | `options`, `run` | command line, startup and shutdown of a service |
//! | [`service`], [`message`], [`view`], [`record`] | the services, their messages, the JSON of the API and of the device gateway |
//! | `bus` | requests, results and task delivery over Kafka |
//! | `handler`, `worker` | the interface of a service, and the loop that runs it |
//! | `api_gateway` ... `user_registry` | the eight services |
//! | `slot_clock`, `http`, `trace` | once-a-second work, the HTTP server, spans |
//! | [`seed`], [`client`] | creates users, devices, rules and readings through the API |

pub mod api_gateway;
pub mod auth_manager;
pub mod bus;
pub mod client;
pub mod device_commander;
pub mod device_gateway;
pub mod device_monitor;
pub mod device_registry;
mod handler;
mod http;
pub mod message;
mod options;
pub mod record;
pub mod rule_engine;
mod run;
pub mod seed;
pub mod service;
mod slot_clock;
pub mod trace;
pub mod user_registry;
pub mod view;
mod worker;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use options::Options;
pub use run::{JungError, run};
