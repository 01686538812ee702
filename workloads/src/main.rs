//! `workload`: the benchmarked services.

use std::process::ExitCode;

use clap::Parser;
use workloads::cli::{Cli, Workload};
use workloads::{exit, task, tcp, udp};

fn main() -> ExitCode {
    let result = match Cli::parse().workload {
        Workload::Tcp(options) => tcp::run(&options),
        Workload::Udp(options) => udp::run(&options),
        Workload::Task(options) => task::run(&options),
        #[cfg(feature = "jung")]
        Workload::Jung(options) => workloads::jung::run(options).map_err(exit::Failure::from),
    };
    exit::code(result)
}
