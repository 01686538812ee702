//! The plan: the trials, their order and their estimated duration. Pure: the same experiment always gives the same plan.

mod eta;
mod order;
mod show;

pub use eta::{ASSUMED_OVERHEAD, Eta, load_time};
pub use order::{Cell, Plan, PlannedTrial};
pub use show::{plan_json, plan_text};

#[cfg(test)]
mod tests;
