//! HTTP as the program `workload` speaks it: its own source, which touches no socket.

#![expect(dead_code, reason = "the workload gathers writes, which this service does not")]

#[path = "../../../../workloads/src/tcp/body.rs"]
pub mod body;
#[path = "../../../../workloads/src/tcp/head.rs"]
pub mod head;
#[path = "../../../../workloads/src/tcp/reply.rs"]
pub mod reply;
#[path = "../../../../workloads/src/tcp/session.rs"]
pub mod session;
