//! The load engine beside the conversation: on a thread of its own, watched and cancelled from here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::order::Order;
use crate::load::{Control, LoadError, Outcome, Progress};

/// A load that is on, or over.
#[derive(Debug)]
pub struct RunningLoad {
    control: Arc<Control>,
    thread: Option<JoinHandle<Result<Outcome, LoadError>>>,
}

impl RunningLoad {
    /// Fires the load.
    #[must_use]
    pub fn fire(order: &Order, address: SocketAddr) -> Self {
        let control = Arc::new(Control::new());
        let (engine, watched) = (order.engine(address), Arc::clone(&control));
        let thread = tokio::task::spawn_blocking(move || engine?.run(&watched));
        Self {
            control,
            thread: Some(thread),
        }
    }

    /// Waits until it is over; for ever if it was taken before. Cancel-safe.
    pub async fn over(&mut self) -> Result<Outcome, String> {
        let Some(thread) = &mut self.thread else {
            return std::future::pending().await;
        };
        let result = thread.await;
        self.thread = None;
        match result {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(format!("the load engine panicked: {panic}")),
        }
    }

    /// Asks it to end; what was measured until then still comes.
    pub fn abort(&self) {
        self.control.cancel();
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.control.progress()
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

/// How long the first connection may take.
const REACH_WITHIN: Duration = Duration::from_secs(2);

/// Opens one connection to the endpoint before a thousand requests a second find out that it cannot be reached.
///
/// # Errors
/// What is wrong, with the remedy.
pub async fn reach(address: SocketAddr) -> Result<(), String> {
    let why = match tokio::time::timeout(REACH_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", REACH_WITHIN.as_secs()),
    };
    Err(format!(
        "the runner says READY, but from here {address} cannot be reached ({why}): give the runner the `address` by which this machine reaches it; for containers set `publish = true` or add a route to their bridge"
    ))
}
