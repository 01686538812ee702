//! The runner: the daemon on a target host that deploys services, samples their resource usage and removes them.
//!
//! ```text
//!            link ──commands──▶ daemon ──actions──▶ outbox ──events──▶ Kafka
//!                               │  ▲  owns the table   ▲
//!                         start, end  inputs           │ samples
//!                               ▼  │                   │
//!                              execute ────────────────┘
//!                               └─ drivers (crate deploy), sampler (a thread)
//! ```
//!
//! * Start: [`cli`], [`config`]; [`serve`], from a checked configuration to the exit code; [`doctor`], for `runner check`; [`lock`], one runner per
//!   state folder; [`limits`], the runner's open files and CPUs.
//! * Control: [`daemon`], the task that owns the [`table`]; [`validate`], of a RUN; [`state`], of an attempt. All but the daemon are pure, as is
//!   [`lease`](protocol::daemon::lease), which decides whose commands are obeyed.
//! * Services: [`services`], those that this host describes or allows.
//! * Work: [`execute`], one task per attempt; [`crash_journal`] and [`sweep`], what survives `kill -9` and its removal.
//! * Measurement: [`sampler`], [`facts`], [`kernel_log`], [`clock`].
//!
//! Kafka is in [`protocol::daemon`].

pub mod cli;
pub mod clock;
pub mod config;
pub mod crash_journal;
pub mod daemon;
pub mod doctor;
pub mod execute;
pub mod facts;
pub mod kernel_log;
pub mod limits;
pub mod lock;
pub mod sampler;
pub mod serve;
pub mod services;
pub mod state;
pub mod sweep;
pub mod table;
pub mod validate;

#[cfg(test)]
mod testing;
