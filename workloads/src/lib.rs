//! The benchmarked services, independent of the harness.
//!
//! | module | content |
//! |---|---|
//! | [`cli`], [`exit`] | command line, errors and exit codes of the binary `workload` |
//! | [`tcp`] | workload `tcp`: HTTP service, one event loop per thread |
//! | [`udp`] | workload `udp`: UDP service, one thread per socket |
//! | [`task`] | workload `task`: runs a program to its end for each request |
//! | `jung` | workload `jung`: IoT platform of eight services that communicate over Kafka |
//! | [`listen`], [`limits`], [`shutdown`] | listening sockets, file descriptor limit, termination signals |
//!
//! `tcp` and `udp` use no async runtime, so they are small, start quickly and also run in unikernels: no
//! `std::thread::sleep`, no `fork`, no IPv6. The modules are a library so that tests can run a service in
//! their own process.

pub mod cli;
pub mod exit;
#[cfg(feature = "jung")]
pub mod jung;
pub mod limits;
pub mod listen;
pub mod shutdown;
pub mod task;
pub mod tcp;
pub mod udp;
