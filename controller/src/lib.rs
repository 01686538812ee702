//! The controller: plans an experiment, runs its trials, generates the load, and stores the results.

pub mod campaign;
pub mod cli;
pub mod commands;
pub mod config;
pub mod fleet;
pub mod peer;
pub mod plan;
pub mod preflight;
pub mod progress;
pub mod trial;
