//! The connection to Kafka, made again as often as it takes.

use std::time::{Duration, Instant};

use crate::bus::{self, BusConfig, BusError, CommandReceiver, EventSender};
use crate::{Command, Envelope, Name};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{error, info, warn};

/// How often the log says that no broker answers.
const COMPLAINT: Duration = Duration::from_secs(10);

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// Both ends of a connection.
pub type Ends = (EventSender, CommandReceiver);

/// Connects; with a broker that does not answer it waits as long as it may (`None`: for ever) and says so.
///
/// # Errors
/// [`BusError::Unreachable`] when the wait is over; at once what waiting does not mend.
pub async fn connect(config: &BusConfig, host: &Name, patience: Option<Duration>) -> Result<Ends, BusError> {
    let began = Instant::now();
    let mut complained: Option<Instant> = None;
    loop {
        match bus::connect_runner(config, host).await {
            Ok(ends) => return Ok(ends),
            Err(error @ BusError::Options { .. }) => return Err(error),
            Err(error) => {
                let waited = began.elapsed();
                if patience.is_some_and(|patience| waited >= patience) {
                    return Err(error);
                }
                if complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
                    warn!(waited_s = waited.as_secs(), "waiting: {error}");
                    complained = Some(Instant::now());
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Hands commands on for ever. A client that has failed for good is replaced, and `sender` with it.
pub async fn listen(
    config: BusConfig,
    host: Name,
    mut receiver: CommandReceiver,
    sender: watch::Sender<EventSender>,
    commands: mpsc::Sender<Envelope<Command>>,
) {
    loop {
        match receiver.recv().await {
            // A full channel makes Kafka wait, not the daemon; a closed one means that the daemon is ending.
            Ok(command) => {
                if commands.send(command).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                error!("{error}; connecting again");
                match connect(&config, &host, None).await {
                    Ok((fresh, again)) => {
                        receiver = again;
                        sender.send_replace(fresh);
                        info!("connected again");
                    }
                    Err(error) => {
                        error!("{error}");
                        sleep(COMPLAINT).await;
                    }
                }
            }
        }
    }
}
