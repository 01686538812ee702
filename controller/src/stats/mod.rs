//! The arithmetic behind the report: pure functions, each with its formula and source.

pub mod usage;
