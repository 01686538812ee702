//! What the container of a service is started from: of the workload program, or described.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use protocol::facts::ImageRecord;
use protocol::spec::{ContainerForm, Values};

use super::source::{Command, Ensured};
use crate::DeployError;
use crate::mark::Mark;
use crate::service::{Described, Program, Service, ServiceDir, dir_path, fill_all, fill_env, root};

/// What a container is started from. Its files are removed with it.
#[derive(Debug, Default)]
pub(super) struct ContainerPlan {
    /// The reference of the image.
    pub(super) image: String,
    /// What the image is, if the service is described.
    pub(super) record: Option<ImageRecord>,
    /// `None`: the image's.
    pub(super) entrypoint: Option<Vec<String>>,
    /// `None`: the image's.
    pub(super) args: Option<Vec<String>>,
    /// `NAME=value`.
    pub(super) env: Vec<String>,
    /// `None`: the image's.
    pub(super) user: Option<String>,
    /// `None`: the image's.
    pub(super) directory: Option<String>,
    /// `host path:container path`.
    pub(super) binds: Vec<String>,
    /// The port in the container.
    pub(super) port: Option<u16>,
    /// The files of a described service.
    pub(super) dir: Option<ServiceDir>,
}

impl ContainerPlan {
    /// The plan of a service in a container of this image, whose record and command are given if it is described. Writes the files of a described service below `state`.
    ///
    /// # Errors
    /// [`DeployError`] for files that cannot be written, or a placeholder without a value.
    pub(super) fn new(
        service: &Service,
        (image, of_image): (String, Option<Ensured>),
        state: &Path,
        mark: &Mark,
    ) -> Result<Self, DeployError> {
        let (record, command) = of_image.map(|image| (image.record, image.command)).unzip();
        let plan = Self {
            image,
            record,
            port: service.port,
            ..Self::default()
        };
        match &service.program {
            Program::Workload(_) => Ok(Self {
                args: Some(service.workload_args(plan.listen())),
                ..plan
            }),
            Program::Described(described) => {
                plan.described(service, (described, command.as_ref()), &dir_path(state, mark)?)
            }
        }
    }

    /// Where the service listens in its container.
    fn listen(&self) -> Option<SocketAddr> {
        self.port.map(|port| (Ipv4Addr::UNSPECIFIED, port).into())
    }

    fn described(
        mut self,
        service: &Service,
        (described, command): (&Described, Option<&Command>),
        path: &Path,
    ) -> Result<Self, DeployError> {
        let container = described.description().container.as_ref();
        self.port = container.and_then(|container| container.port).or(self.port);
        let values = described.values(service.name.as_str(), self.listen(), Path::new(root::DIR));
        let dir = ServiceDir::create(path.to_owned(), described, &values, None)?;
        self.binds = vec![format!("{}:{}", dir.path().display(), root::DIR)];
        if described.is_image_of_program() {
            let launchable = described.launchable(&values, Path::new(root::DIR))?;
            let program = launchable.program.display().to_string();
            self.entrypoint = Some(vec![program]);
            self.args = Some(launchable.args);
            self.env = launchable
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            self.directory = Some(launchable.directory.display().to_string());
            self.user = described.native()?.user.as_ref().map(ToString::to_string);
        }
        if let Some(ContainerForm {
            entrypoint,
            args,
            env,
            user,
            directory,
            volumes,
            ..
        }) = container
        {
            let all = |texts: &Option<Vec<_>>| texts.as_ref().map(|texts| fill_all(texts, &values)).transpose();
            self.entrypoint = all(entrypoint)?.or(self.entrypoint);
            self.args = all(args)?.or(self.args);
            let own = fill_env(env, &values)?;
            self.env
                .extend(own.iter().map(|(name, value)| format!("{name}={value}")));
            self.user = user.as_ref().map(ToString::to_string).or(self.user);
            let directory = directory
                .as_ref()
                .map(|directory| fill_all(std::slice::from_ref(directory), &values));
            self.directory = directory.transpose()?.and_then(|mut one| one.pop()).or(self.directory);
            for (inside, file) in volumes {
                let outside = dir.path().join(file.as_str());
                if !outside.exists() {
                    return Err(DeployError::Unmet {
                        need: format!("the volume {inside} is the file {file}, which the description does not have"),
                        remedy: format!("add [[file]] and path = \"{file}\""),
                    });
                }
                self.binds.push(format!("{}:{inside}", outside.display()));
            }
        }
        if described.task().is_some() && !described.is_image_of_program() {
            self = self.task(described, &values, command)?;
        }
        self.dir = Some(dir);
        Ok(self)
    }

    /// Starts the entry point of an image for each run.
    fn task(mut self, described: &Described, values: &Values, command: Option<&Command>) -> Result<Self, DeployError> {
        let command = command.cloned().unwrap_or_default();
        // As the engine does: who replaces the entry point replaces the command, too.
        let (entrypoint, of_image) = match self.entrypoint {
            Some(own) => (own, Vec::new()),
            None => (command.entrypoint, command.args),
        };
        let mut whole = entrypoint;
        whole.extend(self.args.unwrap_or(of_image));
        let mut whole = whole.into_iter();
        let program = whole.next().ok_or_else(|| DeployError::Unmet {
            need: format!("the image {} has no command that a task could run", self.image),
            remedy: "write entrypoint or args below [container]".into(),
        })?;
        let (program, args) = described.started(program.into(), whole.collect(), (values, Path::new(root::DIR)))?;
        self.entrypoint = Some(vec![program.display().to_string()]);
        self.args = Some(args);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::ids::AttemptId;

    use super::*;

    fn plan(text: &str, state: &Path) -> Result<ContainerPlan, DeployError> {
        let image = Ensured {
            record: ImageRecord {
                name: "image:1".into(),
                id: "sha256:1".into(),
                digests: vec![],
            },
            command: Command {
                entrypoint: vec!["/entry".into()],
                args: vec!["of".into(), "image".into()],
            },
        };
        let description = protocol::description::parse("x", text).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        let described = Described::new(description, values, None, 1000).unwrap();
        // Any file without a loader will do.
        let described = described.with_workload("/etc/passwd".into());
        let service = Service::described("web".parse().unwrap(), described);
        let mark = Mark {
            runner: "lab".parse().unwrap(),
            attempt: AttemptId::fresh(),
            service: service.name.clone(),
        };
        ContainerPlan::new(&service, ("image:1".into(), Some(image)), state, &mark)
    }

    #[test]
    fn what_the_description_leaves_out_is_the_image_s_own() {
        let state = tempfile::tempdir().unwrap();
        let plan = plan(
            "parameters = { port = 8080 }\n[container]\nimage = 'nginx'\nport = 80\n",
            state.path(),
        )
        .unwrap();
        assert_eq!((plan.entrypoint, plan.args, plan.user), (None, None, None));
        assert_eq!((plan.port, plan.directory), (Some(80), None));
        assert_eq!(plan.binds.len(), 1);
        assert!(plan.binds[0].ends_with("-web:/service"), "{:?}", plan.binds);
    }

    #[test]
    fn the_port_in_the_container_is_what_files_and_arguments_get() {
        let state = tempfile::tempdir().unwrap();
        let text = "parameters = { port = 8080 }\n[[file]]\npath = 'a/b'\ncontents = '{listen} {dir}'\n\
                    [container]\nimage = 'x'\nport = 80\nargs = ['{port}', '{address}']\nenv = { A = '{service}' }\nuser = 'www'\n\
                    directory = '{dir}/a'\nvolumes = { '/etc/b' = 'a/b' }\n";
        let plan = plan(text, state.path()).unwrap();
        assert_eq!(plan.args.unwrap(), ["80", "0.0.0.0"]);
        assert_eq!(
            (plan.env, plan.user.unwrap()),
            (vec!["A=web".to_owned()], "www".to_owned())
        );
        assert_eq!(plan.directory.unwrap(), "/service/a");
        assert!(plan.binds[1].ends_with("-web/a/b:/etc/b"), "{:?}", plan.binds);
        let dir = plan.dir.unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.path().join("a/b")).unwrap(),
            "0.0.0.0:80 /service"
        );
    }

    #[test]
    fn an_image_of_the_program_runs_the_program() {
        let state = tempfile::tempdir().unwrap();
        let text = "parameters = { port = 8080 }\n[native]\nprogram = '/bin/cat'\nargs = ['{dir}/x', '{port}']\nuser = 'nobody'\n";
        let plan = plan(text, state.path()).unwrap();
        assert_eq!(plan.entrypoint.unwrap(), ["/bin/cat"]);
        assert_eq!(plan.args.unwrap(), ["/service/x", "8080"]);
        assert_eq!(
            (plan.user.unwrap(), plan.directory.unwrap()),
            ("nobody".to_owned(), "/service".to_owned())
        );
    }

    #[test]
    fn a_volume_without_its_file_is_named() {
        let state = tempfile::tempdir().unwrap();
        let error = plan(
            "[container]\nimage = 'x'\nvolumes = { '/etc/b' = 'b' }\n[ready]\nkind = 'started'\n",
            state.path(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("the volume /etc/b is the file b"), "{error}");
    }

    #[test]
    fn a_task_runs_what_the_image_runs() {
        let state = tempfile::tempdir().unwrap();
        let task = "[container]\nimage = 'x'\n%\n[task]\n";
        let whole = |container: &str| {
            let plan = plan(&task.replace('%', container), state.path()).unwrap();
            (plan.entrypoint.unwrap().join(" "), plan.args.unwrap().join(" "))
        };
        let starter = "/service/.jung-task";
        let listen = "task --listen=0.0.0.0:8080 --exit-code=0 --";
        for (container, args) in [
            ("", "/entry of image"),
            ("args = ['a']", "/entry a"),
            ("entrypoint = ['/own']", "/own"),
            ("entrypoint = ['/own', 'x']\nargs = ['{port}']", "/own x 8080"),
        ] {
            assert_eq!(
                whole(container),
                (starter.to_owned(), format!("{listen} {args}")),
                "{container}"
            );
        }
    }
}
