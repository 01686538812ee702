//! The HTTP code of the program `workload`, which does no I/O itself.

#![expect(dead_code, reason = "the workload gathers writes, but this service does not")]

#[path = "../../../../workloads/src/tcp/body.rs"]
pub mod body;
#[path = "../../../../workloads/src/tcp/head.rs"]
pub mod head;
#[path = "../../../../workloads/src/tcp/reply.rs"]
pub mod reply;
#[path = "../../../../workloads/src/tcp/session.rs"]
pub mod session;
