//! Tasks: the workload program starts the described program for each run.

use std::path::{Path, PathBuf};

use protocol::spec::{TaskForm, Values};

use super::described::{Described, fill};
use super::root;
use crate::DeployError;
use crate::binary;

/// The name of the program that starts a task, in the directory of the service's files.
pub(super) const STARTER: &str = ".jung-task";

impl Described {
    /// The task that it is; `None`: a service.
    #[must_use]
    pub const fn task(&self) -> Option<&TaskForm> {
        self.description().task.as_ref()
    }

    /// What is started instead of a program: for a task, the program that starts it for each run, in the directory of the service's files.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if that program cannot run there.
    pub(crate) fn started(
        &self,
        program: PathBuf,
        args: Vec<String>,
        (values, dir): (&Values, &Path),
    ) -> Result<(PathBuf, Vec<String>), DeployError> {
        let Some(task) = self.task() else {
            return Ok((program, args));
        };
        if dir == Path::new(root::DIR) {
            self.check_starter()?;
        }
        let listen = values.get("listen").unwrap_or_default();
        let mut all = vec![
            "task".to_owned(),
            format!("--listen={listen}"),
            format!("--exit-code={}", task.exit_code),
        ];
        if let Some(output) = &task.output {
            all.push(format!("--output={}", fill(output, values)?));
        }
        all.extend(["--".to_owned(), program.to_string_lossy().into_owned()]);
        all.extend(args);
        Ok((dir.join(STARTER), all))
    }

    /// Where the program that starts a task is on this host.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if nothing says so.
    pub(super) fn starter(&self) -> Result<&Path, DeployError> {
        self.workload().ok_or_else(|| DeployError::Unmet {
            need: "a task is started by the workload program, and where that is was not said".into(),
            remedy: "set `workload` in the runner's configuration".into(),
        })
    }

    /// Refuses a dynamic program off the host, where its libraries are not.
    fn check_starter(&self) -> Result<(), DeployError> {
        let path = self.starter()?;
        let bytes = std::fs::read(path).map_err(|source| DeployError::Io {
            what: format!("reading the workload program {}", path.display()),
            source,
        })?;
        if binary::interpreter(&bytes).is_none() {
            return Ok(());
        }
        Err(DeployError::Unmet {
            need: format!(
                "the workload program {}, which starts a task, is not static",
                path.display()
            ),
            remedy: "build it with deploy/build-workload.sh: containers and guests have none of its libraries".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::service::ServiceDir;

    fn described(task: &str) -> Described {
        let text = format!("parameters = {{ port = 81, n = 7 }}\n[native]\nprogram = '/bin/echo'\n{task}");
        let description = protocol::description::parse("x", &text).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        Described::new(description, values, None, 0)
            .unwrap()
            .with_workload("/bin/true".into())
    }

    #[test]
    fn a_task_is_started_by_the_workload_program() {
        let described = described("args = ['a b', '{n}']\n[task]\nexit_code = 3\noutput = 'x {n}'\n");
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("web");
        let values = described.values("web", Some("127.0.0.1:81".parse().unwrap()), &place);
        let launchable = described.launchable(&values, &place).unwrap();
        assert_eq!(launchable.program, place.join(STARTER));
        assert_eq!(
            launchable.args,
            [
                "task",
                "--listen=127.0.0.1:81",
                "--exit-code=3",
                "--output=x 7",
                "--",
                "/bin/echo",
                "a b",
                "7"
            ]
        );
        let files = ServiceDir::create(place.clone(), &described, &values, None).unwrap();
        assert_eq!(
            std::fs::read(files.path().join(STARTER)).unwrap(),
            std::fs::read("/bin/true").unwrap()
        );
    }

    #[test]
    fn a_dynamic_starter_is_refused_where_its_libraries_are_not() {
        let described = described("[task]\n");
        let inside = Path::new(root::DIR);
        let values = described.values("web", Some("0.0.0.0:81".parse().unwrap()), inside);
        let error = described.launchable(&values, inside).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/bin/true, which starts a task, is not static"),
            "{error}"
        );
    }
}
