//! The floor: what the system calls of a request cost on this machine, with nothing around them.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use super::Bench;
use super::servers::Server;
use super::tools::Speed;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// Connections that write a request and read its reply, which nobody looks at: one write, one read, and a look for many. No generator whose requests go through
/// these calls can take less CPU time for them.
pub fn bare(bench: &Bench, server: &Server, connections: usize) -> anyhow::Result<Speed> {
    std::thread::scope(|scope| scope.spawn(|| run(bench, server, connections)).join())
        .map_err(|_| anyhow::anyhow!("the thread of bare calls panicked"))?
}

fn run(bench: &Bench, server: &Server, connections: usize) -> anyhow::Result<Speed> {
    let mut cpus = CpuSet::new();
    cpus.set(bench.cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut streams = (0..connections)
        .map(|place| {
            let mut stream = TcpStream::from_std(std::net::TcpStream::connect(server.address)?);
            poll.registry()
                .register(&mut stream, Token(place), Interest::READABLE)?;
            // As a blocking socket it came; it is made what mio needs.
            nonblocking(&stream)?;
            stream.write_all(REQUEST)?;
            Ok(stream)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let (mut buffer, mut requests) = (vec![0; 64 * 1024], 0_u64);
    let (start, before) = (Instant::now(), thread_cpu_s()?);
    let until = start + Duration::from_secs_f64(bench.seconds);
    while Instant::now() < until {
        poll.poll(&mut events, Some(Duration::from_millis(50)))?;
        for event in &events {
            let stream = &mut streams[event.token().0];
            // A reply of a thousand bytes comes whole on a loopback.
            if stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                stream.write_all(REQUEST)?;
                requests += 1;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Speed {
        rate: requests as f64 / seconds,
        cores: (thread_cpu_s()? - before) / seconds,
    })
}

fn nonblocking(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_nonblocking(true)
}

fn thread_cpu_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}
