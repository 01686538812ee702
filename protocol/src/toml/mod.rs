//! Configuration files: one reader for every program, which reports all problems of a file at once.
//!
//! ```text
//! file --Document--> tree of values with spans --Table--> raw struct of Fields --TableCheck, value--> checked configuration
//!          |                                       |                                |
//!          +---------------------------------------+--------------------------------+--> Problems: file, line, table, key, value, remedy
//! ```
//! serde's derive stops at the first fault of a file, so raw structs ([`raw_table!`](crate::raw_table)) read a tree of values instead: a string
//! where a number is expected is one problem among others and hides none. Documents can be layered: options of the command line over
//! environment variables over a file, or a file over a preset. A problem names the layer that its value comes from.
//!
//! The grammar is the same in every file. A duration is `"500ms"` or `"1h30m"`; a size is a number in the key's unit, or `"64MiB"`; a list is
//! `["a", "b"]` or `"a, b"`; a set of CPUs is `"0-1,3"`, `3` or `[0, 1, 3]`.

mod check;
mod document;
mod field;
mod problem;
mod table;
mod units;
pub mod value;

pub use check::{TableCheck, Unique, each};
pub use document::{Document, FileRemedies, read};
pub use field::{Field, Given, Section};
pub use problem::{Fault, Problem, Severity, did_you_mean, problems_json, problems_text};
pub use table::Table;
pub use units::{parse_duration, parse_seconds, parse_size, show_duration};
