//! `runner.toml`: from a file, the environment and the command line to a checked [`Config`].
//!
//! * [`raw`]: the layers as written; flags override `JUNG_RUNNER__KEY` in the environment, which overrides the file.
//! * [`check`]: their meaning, with all problems at once.
//! * [`problem`]: a problem, with its location and remedy.
//! * [`defaults`]: the values of keys that are not set.

pub mod check;
pub mod defaults;
pub mod problem;
pub mod raw;

#[cfg(test)]
mod tests;

pub use check::Config;
pub use problem::Problem;
pub use raw::{Flags, RawConfig};
