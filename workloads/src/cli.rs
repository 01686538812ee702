//! The command line: one subcommand per workload.

use clap::{Parser, Subcommand};

use crate::{task, tcp, udp};

/// The benchmarked services, in one binary.
///
/// Each subcommand runs a service in the foreground. On SIGTERM or SIGINT it finishes the requests in
/// flight and exits with code 0. Exit code 1: failed while running. Exit code 2: failed to start
/// (invalid option, address in use).
#[derive(Debug, Parser)]
#[command(name = "workload", version, max_term_width = 100)]
pub struct Cli {
    /// The workload to run.
    #[command(subcommand)]
    pub workload: Workload,
}

/// The workloads.
#[derive(Debug, Subcommand)]
pub enum Workload {
    /// HTTP service that replies to every request with N times the letter A (Czipri 2016, chapter 4).
    Tcp(tcp::Options),
    /// UDP service that replies to every packet with N times the letter A and the packet's number (Czipri 2016,
    /// chapter 4).
    Udp(udp::Options),
    /// Runs a program to its end, once for each request.
    Task(task::Options),
    /// Services of Fraga's IoT benchmark (Fraga 2019, chapter 4).
    #[cfg(feature = "jung")]
    Jung(crate::jung::Options),
}
