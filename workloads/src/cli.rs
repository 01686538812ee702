//! The command line: one sub-command a workload.

use clap::{Parser, Subcommand};

use crate::{tcp, udp};

/// The services that Jung benchmarks, in one binary.
///
/// Each sub-command runs one service in the foreground until it gets SIGTERM or Ctrl-C, and then
/// ends with exit code 0 once the requests under way are answered. Exit code 1 means that it failed
/// while running, 2 that it could not start (wrong option, address taken).
#[derive(Debug, Parser)]
#[command(name = "workload", version, max_term_width = 100)]
pub struct Cli {
    /// Which service to run.
    #[command(subcommand)]
    pub workload: Workload,
}

/// One variant a workload.
#[derive(Debug, Subcommand)]
pub enum Workload {
    /// Answer every HTTP request with N times the letter A (Czipri 2016, chapter 4).
    Tcp(tcp::Options),
    /// Answer every packet with N times the letter A and the packet's number (Czipri 2016, chapter 4).
    Udp(udp::Options),
    /// Run a service of Fraga's IoT benchmark (Fraga 2019, chapter 4).
    #[cfg(feature = "jung")]
    Jung(crate::jung::Options),
}
