//! Graceful shutdown on SIGINT, SIGTERM or SIGHUP.

use std::io;

use nix::sys::signal::Signal as Kind;
use protocol::exit::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Returns a token that the first SIGINT, SIGTERM or SIGHUP cancels and that logs `effect`. The second one exits immediately with
/// [`Exit::Interrupted`]; peers notice when the lease expires.
///
/// Must be called in a Tokio runtime. A signal that was ignored when the process started stays ignored, so that `nohup controller &` survives its
/// terminal.
///
/// # Errors
/// A signal handler cannot be installed.
pub fn on_signals(effect: &'static str) -> io::Result<CancellationToken> {
    let mut signals = Signals {
        interrupt: listen(Kind::SIGINT)?,
        terminate: listen(Kind::SIGTERM)?,
        hangup: listen(Kind::SIGHUP)?,
    };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        warn!("{name}: {effect}");
        cancelled.cancel();
        signals.next().await;
        exit_immediately();
    });
    Ok(token)
}

/// `None`: the signal stays ignored.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            () = received(&mut self.interrupt) => "Ctrl-C",
            () = received(&mut self.terminate) => "SIGTERM",
            () = received(&mut self.hangup) => "SIGHUP",
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn listen(kind: Kind) -> io::Result<Option<Signal>> {
    let number = kind as i32;
    if ignored(&std::fs::read_to_string("/proc/self/status")?, number) {
        return Ok(None);
    }
    signal(SignalKind::from_raw(number)).map(Some)
}

/// Whether a process with this `/proc/<pid>/status` ignores a signal: `SigIgn` is a hexadecimal mask whose lowest bit is signal 1.
fn ignored(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[expect(clippy::exit, reason = "the user asked twice")]
fn exit_immediately() {
    std::process::exit(Exit::Interrupted.code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_parsed() {
        let status = "Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t0000000000004000\n";
        let ignored: Vec<_> = (1..=15).filter(|&number| ignored(status, number)).collect();
        assert_eq!(ignored, [1, 2, 13]);
        assert!(!super::ignored("", 1), "no mask");
    }
}
