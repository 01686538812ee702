//! The workloads `tcp` and `udp` as a Hermit service: one program with its operating system.
//!
//! HTTP and packets are parsed and answered by the source of the program `workload` itself ([`http`], [`packet`]), so every platform does the same work. Only the
//! event loops are this program's own, since Hermit has neither signals nor `recvmsg`: [`tcp`] and [`udp`] use one thread each, which waits in `poll` only.

mod arguments;
mod http;
#[path = "../../../../workloads/src/udp/packet.rs"]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the workload can echo, but this service does not")
)]
mod packet;
mod poll;
mod tcp;
mod udp;

use std::process::ExitCode;

use arguments::{Arguments, Kind};

// The kernel is not a crate: it is built separately as a static library, which has the entry point.
#[cfg(feature = "kernel")]
#[link(name = "hermit", kind = "static")]
unsafe extern "C" {}

fn main() -> ExitCode {
    let ended = match Arguments::of_process() {
        Err(wrong) => Err(wrong),
        Ok(arguments) => match arguments.kind {
            Kind::Tcp => tcp::serve(&arguments),
            Kind::Udp => udp::serve(&arguments),
        }
        .map_err(|error| format!("cannot serve on {}: {error}", arguments.listen)),
    };
    let Err(wrong) = ended;
    eprintln!("hermit-service: {wrong}");
    ExitCode::FAILURE
}
