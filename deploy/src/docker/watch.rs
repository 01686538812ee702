//! What happens beside a running container: its output is copied into a file, and its end is waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::ContainerState;
use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptions};
use futures_util::StreamExt;
use protocol::summary::Exit;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::engine::{inspect, is_missing};
use crate::DeployError;
use crate::first_output::FirstOutput;
use crate::oom::OomDetector;

/// How often an engine that does not answer is asked again, and after what pause.
const PATIENCE: (usize, Duration) = (20, Duration::from_millis(500));
/// What a shell, and Docker, add to the number of the signal that ended a process.
const SIGNALLED: i64 = 128;
/// The word that the kernel killed for memory comes on another way than the word of the end, and may come later.
const OOM_WORD: Duration = Duration::from_millis(200);

/// Opens the log of a service, so that there is one even if it says nothing.
pub(super) async fn open_log(logs: &Path, service: &str) -> Result<File, DeployError> {
    let path: PathBuf = logs.join(format!("{service}.log"));
    let opened = async {
        tokio::fs::create_dir_all(logs).await?;
        OpenOptions::new().create(true).append(true).open(&path).await
    };
    opened.await.map_err(|source| DeployError::Io {
        what: format!("opening {}", path.display()),
        source,
    })
}

/// Copies a container's output until it ends, and notes when the first of it came.
pub(super) async fn copy_log(docker: bollard::Docker, container: String, mut file: File, first: FirstOutput) {
    let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).build();
    let mut output = docker.logs(&container, Some(options));
    while let Some(Ok(piece)) = output.next().await {
        if !piece.as_ref().is_empty() {
            first.record();
        }
        if let Err(error) = file.write_all(piece.as_ref()).await {
            tracing::warn!(container, %error, "its output cannot be written any more");
            break;
        }
    }
    let _ = file.flush().await;
}

/// Waits until a container does not run any more. An engine that restarts meanwhile is asked again.
pub(super) async fn wait_for_end(docker: bollard::Docker, container: String, kills: OomDetector) -> Exit {
    let (tries, pause) = PATIENCE;
    let mut silent = 0;
    while silent < tries {
        // Its answer is looked up below: whether memory was the reason stands only there.
        let _ = docker
            .wait_container(&container, None::<WaitContainerOptions>)
            .next()
            .await;
        match inspect(&docker, &container).await {
            Ok(inspect) => match inspect.state {
                Some(state) if state.running == Some(true) => {}
                state => return kills.classify(confirm(&docker, &container, state.as_ref()).await),
            },
            Err(error) if is_missing(&error) => return Exit::Unknown,
            Err(_) => silent += 1,
        }
        sleep(pause).await;
    }
    Exit::Unknown
}

/// Gives the word about memory time to arrive where the exit code leaves it open.
async fn confirm(docker: &bollard::Docker, container: &str, state: Option<&ContainerState>) -> Exit {
    let first = state.map_or(Exit::Unknown, exit);
    if first != Exit::Signal(libc::SIGKILL) {
        return first;
    }
    sleep(OOM_WORD).await;
    let second = inspect(docker, container).await.ok().and_then(|inspect| inspect.state);
    second.as_ref().map_or(first, exit)
}

/// Tells an end apart. Docker shows the end by a signal as 128 + its number; a program that leaves with such a code by itself looks the same.
pub(super) fn exit(state: &ContainerState) -> Exit {
    let code = state.exit_code.unwrap_or(-1);
    let signal = i32::try_from(code - SIGNALLED)
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
        exit(&ContainerState {
            exit_code,
            oom_killed: Some(oom_killed),
            ..ContainerState::default()
        })
    }

    #[test]
    fn ends_are_told_apart() {
        assert_eq!(ended(Some(0), false), Exit::Code(0));
        assert_eq!(ended(Some(3), true), Exit::Code(3));
        assert_eq!(ended(Some(137), false), Exit::Signal(9));
        assert_eq!(ended(Some(137), true), Exit::OutOfMemory);
        assert_eq!(ended(Some(143), false), Exit::Signal(15));
        assert_eq!(ended(Some(255), false), Exit::Code(255));
        assert_eq!(ended(None, false), Exit::Unknown);
    }
}
