//! How a container ended, as its engine reports it.

use std::time::Duration;

use bollard::models::ContainerState;
use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt;
use protocol::summary::Exit;
use tokio::time::sleep;

use super::engine::{inspect, is_missing};
use crate::oom::OomDetector;

/// How often an engine that does not answer is asked again, and the pause before.
const RETRIES: (usize, Duration) = (20, Duration::from_millis(500));
/// What Docker, like a shell, adds to the number of the signal that ended a process.
const SIGNAL_OFFSET: i64 = 128;
/// How long after the exit code the OOM flag may be set: the two take different ways through the engine.
const OOM_DELAY: Duration = Duration::from_millis(200);

/// Waits until a container has ended, across a restart of its engine.
pub(super) async fn wait(docker: bollard::Docker, container: String, oom: OomDetector) -> Exit {
    let (retries, pause) = RETRIES;
    let mut failures = 0;
    while failures < retries {
        // The reply is ignored: only the state has the OOM flag.
        let _ = docker
            .wait_container(&container, None::<WaitContainerOptions>)
            .next()
            .await;
        match inspect(&docker, &container).await {
            Ok(inspect) => match inspect.state {
                Some(state) if state.running == Some(true) => {}
                state => return oom.classify(confirm(&docker, &container, state.as_ref()).await),
            },
            Err(error) if is_missing(&error) => return Exit::Unknown,
            Err(_) => failures += 1,
        }
        sleep(pause).await;
    }
    Exit::Unknown
}

/// Waits for the OOM flag where the exit code leaves the reason open.
async fn confirm(docker: &bollard::Docker, container: &str, state: Option<&ContainerState>) -> Exit {
    let first = state.map_or(Exit::Unknown, classify);
    if first != Exit::Signal(libc::SIGKILL) {
        return first;
    }
    sleep(OOM_DELAY).await;
    let second = inspect(docker, container).await.ok().and_then(|inspect| inspect.state);
    second.as_ref().map_or(first, classify)
}

/// Classifies a final state. Docker reports a signal as exit code 128 + its number, which cannot be told from a program that exits with that code.
pub(super) fn classify(state: &ContainerState) -> Exit {
    let code = state.exit_code.unwrap_or(-1);
    let signal = i32::try_from(code - SIGNAL_OFFSET)
        .ok()
        .filter(|number| (1..=64).contains(number));
    match (i32::try_from(code), signal) {
        (_, Some(libc::SIGKILL)) if state.oom_killed == Some(true) => Exit::OutOfMemory,
        (_, Some(number)) => Exit::Signal(number),
        (Ok(code @ 0..), None) => Exit::Code(code),
        _ => Exit::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit_code: Option<i64>, oom_killed: bool) -> Exit {
        classify(&ContainerState {
            exit_code,
            oom_killed: Some(oom_killed),
            ..ContainerState::default()
        })
    }

    #[test]
    fn exit_codes_and_signals_are_classified() {
        assert_eq!(ended(Some(0), false), Exit::Code(0));
        assert_eq!(ended(Some(3), true), Exit::Code(3));
        assert_eq!(ended(Some(137), false), Exit::Signal(9));
        assert_eq!(ended(Some(137), true), Exit::OutOfMemory);
        assert_eq!(ended(Some(143), false), Exit::Signal(15));
        assert_eq!(ended(Some(255), false), Exit::Code(255));
        assert_eq!(ended(None, false), Exit::Unknown);
    }
}
