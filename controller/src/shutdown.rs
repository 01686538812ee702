//! The end that the user or the system asks for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::exit::Exit;

/// A token that the first Ctrl-C, SIGTERM or SIGHUP (a terminal that was closed) cancels. The second one ends the process at once with
/// [`Exit::Interrupted`]: a runner that hears nothing more ends its trial by itself when the lease is over.
///
/// # Errors
/// The system takes no handler. Must be called within a Tokio runtime.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hangup: signal(SignalKind::hangup())?,
    };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        warn!("{name}: the trial is stopped and the run can be resumed; once more ends at once");
        cancelled.cancel();
        signals.next().await;
        end_at_once();
    });
    Ok(token)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

#[expect(clippy::exit, reason = "the user asked twice: nothing more is waited for")]
fn end_at_once() {
    std::process::exit(Exit::Interrupted.code().into());
}
