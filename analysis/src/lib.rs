//! The results of a run: storage, audit, statistics, report and comparison. This crate starts no process and opens no connection.
//!
//! ```text
//! text <- stats <- store <- audit <- report <- diff
//! ```
//! * [`store`] — the run's directory: manifest, journal, attempts.
//! * [`stats`] — statistics and resource usage: pure functions, each with its formula and source.
//! * [`audit`] — the verdict on an attempt.
//! * [`report`] — tables, plots and JSON derived from a run's raw data.
//! * [`diff`] — comparison of two runs.

pub mod audit;
pub mod diff;
pub mod report;
pub mod stats;
pub mod store;
pub mod text;
