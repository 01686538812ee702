
use std::path::Path;

use protocol::ids::AttemptId;
use protocol::summary::Exit;

use super::unit::absolute;
use crate::mark::Mark;
use crate::process::{self, Launch, Process};
use crate::{DeployError, Host};

/// Runs the workload program with these arguments until it ends, without limits; its output goes to `<logs>/<name>.log`. It carries the runner's mark,
/// and is killed when the future is dropped.
///
/// # Errors
/// [`DeployError::Io`] if it cannot be started, or its exit status is not known.
pub async fn run(
    host: &Host,
    attempt: AttemptId,
    name: &protocol::ids::Name,
    args: &[String],
    logs: &Path,
) -> Result<Exit, DeployError> {
    let program = absolute(&host.workload)?;
    let mark = Mark {
        runner: host.runner.clone(),
        attempt,
        service: name.clone(),
    };
    let io = |source| DeployError::Io {
        what: format!("running {} for {name}", program.display()),
        source,
    };
    let mut process = Process::spawn(Launch {
        program: program.clone(),
        args: args.to_vec(),
        environment: mark.environment().into(),
        log: logs.join(format!("{name}.log")),
        output: None,
        doors: Vec::new(),
        affinity: None,
        mems: None,
        inherited: Vec::new(),
        read_only: None,
    })
    .map_err(io)?;
    let status = process.wait().await.map_err(io)?;
    Ok(process::exit(status, false, false))
}
