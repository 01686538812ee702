//! The runner: the daemon on a target host that deploys, samples and summarises.
//!
//! ```text
//!            link ──commands──▶ daemon ──effects──▶ outbox ──events──▶ Kafka
//!                               │  ▲  owns the table
//!                         start, end  reports
//!                               ▼  │
//!                              execute ── drivers (crate deploy)
//!                                  └───── sampler (a thread)
//! ```
//!
//! * [`cli`], [`config`], [`exit`] — how it is told what to do, and how it ends.
//! * [`serve`] — from a checked configuration to the exit code; [`doctor`] — `runner check`.
//! * [`daemon`] — one task owns the [`table`]: [`hold`](protocol::daemon::hold) (which controller may speak), [`order`] (does the RUN make sense), [`state`]
//!   (where each attempt stands). All four are pure.
//! * [`execute`] — one task for every attempt; [`ledger`] and [`sweep`] — what survives `kill -9`; [`lock`] — one runner a state folder; [`pin`] — its own CPUs;
//!   [`limits`] — its open files.
//! * [`sampler`], [`summarise`], [`facts`], [`kernel_log`], [`clock`] — what is measured.
//! * [`protocol::daemon`] — Kafka.

pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod execute;
pub mod exit;
pub mod facts;
pub mod kernel_log;
pub mod ledger;
pub mod limits;
pub mod lock;
pub mod order;
pub mod pin;
pub mod sampler;
pub mod serve;
pub mod state;
pub mod summarise;
pub mod sweep;
pub mod table;

#[cfg(test)]
mod testing;
