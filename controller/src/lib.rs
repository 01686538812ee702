//! The controller: plans an experiment, conducts its trials, fires the load, stores, analyses and reports.

pub mod campaign;
pub mod cli;
pub mod conduct;
pub mod config;
pub mod exit;
pub mod fleet;
pub mod job;
pub mod plan;
pub mod preflight;
pub mod progress;
pub mod trial;
