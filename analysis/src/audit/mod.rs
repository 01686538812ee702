//! Every attempt is held against what it should have been: valid, suspect or invalid, with the reasons.
//!
//! * [`limits`] — every threshold, in one place.
//! * [`audit()`] — the rules; pure, so that `controller report` comes to the same verdict.

mod host;
pub mod limits;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::audit;
