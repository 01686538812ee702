//! Parsers of the files of `/proc`, `/sys` and cgroups, as pure functions.
//!
//! A truncated file is an error or lacks a figure, but never yields a smaller number: the last word counts only if something follows it.
//!
//! * [`process`]: the files of a process.
//! * [`cgroup`]: the files of a cgroup, versions 1 and 2.
//! * [`mod@host`]: the files of the whole host and of a network namespace.

pub mod cgroup;
pub mod host;
mod line;
pub mod process;

pub use host::{host, host_between};
pub(super) use line::single;
pub use line::{ParseError, Parser};
pub use process::{Sched, Stat, schedstat, stat};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::sample::Counters;

    use super::*;

    proptest! {
        #[test]
        fn no_parser_panics(bytes: Vec<u8>) {
            let mut counters = Counters::default();
            let _ = (stat(&bytes), schedstat(&bytes), host(&bytes), process::statm(&bytes));
            for parse in cgroup::EVERY.iter().chain(host::EVERY).chain(process::EVERY) {
                let _ = parse(&bytes, &mut counters);
            }
            let _ = host::links(&bytes);
        }
    }
}
