//! `experiments.toml`: from text to a checked [`Experiment`].

mod experiment;

pub use experiment::*;
