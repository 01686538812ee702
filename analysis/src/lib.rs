//! The folder of a run, and all that is computed from it. Nothing here deploys, fires or talks to a broker.
//!
//! ```text
//! text <- stats <- store <- audit <- report <- diff
//! ```
//! * [`store`] — the folder: manifest, journal, attempts; written once, read for ever.
//! * [`stats`] — the arithmetic: pure functions, each with its formula and source.
//! * [`audit`] — the verdict on an attempt.
//! * [`report`] — tables, plots and JSON of a run.
//! * [`diff`] — two runs compared.

pub mod audit;
pub mod diff;
pub mod report;
pub mod stats;
pub mod store;
pub mod text;
