//! A described service with the values of its parameters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use protocol::Name;
use protocol::spec::{
    CommandProbe, EnvName, ImageSource, NativeForm, ProgramImage, ProgramPath, RelativePath, ServiceDescription,
    Template, UnknownPlaceholder, Values,
};

use super::program;
use crate::DeployError;

/// A description with the values of its parameters.
#[derive(Clone, Debug)]
pub struct Described {
    description: ServiceDescription,
    values: Values,
    port: Option<u16>,
    /// The folder of the description; `None`: it came in a message.
    folder: Option<PathBuf>,
    /// The most that its files may contain, bytes.
    data_limit: u64,
    /// The workload program of this host, which starts tasks.
    workload: Option<PathBuf>,
}

/// A program with everything that it is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launchable {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Its working directory.
    pub(crate) directory: PathBuf,
}

impl Described {
    /// A description with these values, which are those of its own parameters ([`ServiceDescription::values`]). `folder`: where the description is, if
    /// it is a file of this host.
    ///
    /// # Errors
    /// The port is none.
    pub fn new(
        description: ServiceDescription,
        values: Values,
        folder: Option<PathBuf>,
        data_limit: u64,
    ) -> Result<Self, String> {
        Ok(Self {
            port: ServiceDescription::port_of(&values)?,
            description,
            values,
            folder,
            data_limit,
            workload: None,
        })
    }

    /// The same with the workload program of this host, which starts tasks.
    #[must_use]
    pub fn with_workload(self, workload: PathBuf) -> Self {
        Self {
            workload: Some(workload),
            ..self
        }
    }

    /// The services of the application whose addresses it needs, before it can be prepared.
    pub fn needs(&self) -> impl Iterator<Item = &Name> {
        self.values.services()
    }

    /// The same with these addresses.
    ///
    /// # Errors
    /// A service that `address` does not know.
    pub fn with_addresses(&self, address: impl Fn(&Name) -> Option<SocketAddr>) -> Result<Self, Name> {
        Ok(Self {
            values: self.values.with_addresses(address)?,
            ..self.clone()
        })
    }

    pub(super) fn workload(&self) -> Option<&Path> {
        self.workload.as_deref()
    }

    /// The description.
    #[must_use]
    pub const fn description(&self) -> &ServiceDescription {
        &self.description
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The folder of the description; `None`: it came in a message.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The values of its parameters, a line each, for a checksum.
    #[must_use]
    pub fn settings(&self) -> String {
        self.values.to_string()
    }

    pub(super) const fn data_limit(&self) -> u64 {
        self.data_limit
    }

    /// The values for a place: where the service listens, the directory of its files as it sees it, its name.
    pub(crate) fn values(&self, service: &str, listen: Option<SocketAddr>, dir: &Path) -> Values {
        let mut values = self.values.clone();
        values.set("service", service);
        values.set("dir", dir.display());
        if let Some(listen) = listen {
            values.set("listen", listen);
            values.set("address", listen.ip());
            values.set("port", listen.port());
        }
        values
    }

    /// The form of a process of the host.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if it has none.
    pub(crate) fn native(&self) -> Result<&NativeForm, DeployError> {
        self.description.native.as_ref().ok_or_else(|| DeployError::Unmet {
            need: "the description has no [native]".into(),
            remedy: "add it, or leave this platform out".into(),
        })
    }

    /// Where the image of its container comes from.
    #[must_use]
    pub fn image_source(&self) -> &ImageSource {
        const PROGRAM: ImageSource = ImageSource::Program(ProgramImage {});
        let container = self.description.container.as_ref();
        container.map_or(&PROGRAM, |container| &container.image)
    }

    /// Whether that image is built of its native program.
    #[must_use]
    pub fn is_image_of_program(&self) -> bool {
        matches!(self.image_source(), ImageSource::Program(_))
    }

    /// A file or folder beside the description.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if the description came in a message.
    pub(crate) fn beside(&self, path: &RelativePath) -> Result<PathBuf, DeployError> {
        let folder = self.folder().ok_or_else(|| DeployError::Unmet {
            need: format!("{path} is below the folder of a description, and this description came in a message"),
            remedy: "put the description into services/ on the target host".into(),
        })?;
        Ok(folder.join(path.as_str()))
    }

    /// The absolute path of a program of this host.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if it does not exist, or cannot be executed here.
    pub fn program(&self, path: &ProgramPath) -> Result<PathBuf, DeployError> {
        program::find(path, self.folder())
    }

    /// The process of the host that it is.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] for a program that does not exist, or a placeholder without a value.
    pub(crate) fn launchable(&self, values: &Values, dir: &Path) -> Result<Launchable, DeployError> {
        let native = self.native()?;
        let directory = match &native.directory {
            Some(directory) => fill(directory, values)?.into(),
            None => dir.to_owned(),
        };
        let (program, args) = (self.program(&native.program)?, fill_all(&native.args, values)?);
        let (program, args) = self.started(program, args, (values, dir))?;
        Ok(Launchable {
            program,
            args,
            env: fill_env(&native.env, values)?,
            directory,
        })
    }

    /// The user of this host that it runs as; `None`: the runner's.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] for a user that does not exist, or that only root could become.
    pub(crate) fn host_user(&self) -> Result<Option<User>, DeployError> {
        let Some(name) = &self.native()?.user else {
            return Ok(None);
        };
        let unmet = |need: String, remedy: &str| DeployError::Unmet {
            need,
            remedy: remedy.to_owned(),
        };
        let user = User::from_name(name.as_str()).ok().flatten();
        let user = user.ok_or_else(|| {
            let need = format!("there is no user {name} on this host");
            unmet(
                need,
                "create it (`useradd --system`), or remove `user` from the description",
            )
        })?;
        let own = Uid::effective();
        if user.uid == own {
            return Ok(None);
        }
        if own.is_root() {
            return Ok(Some(user));
        }
        let need = format!("starting a service as user {name} needs root");
        Err(unmet(
            need,
            "run the runner as root, or remove `user` from the description",
        ))
    }

    /// The program of a readiness probe, with its arguments. `endpoint`: where the service is reached.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] for a program that does not exist, or a placeholder without a value.
    pub fn probe_command(
        &self,
        command: &CommandProbe,
        service: &str,
        endpoint: Option<SocketAddr>,
    ) -> Result<(PathBuf, Vec<String>), DeployError> {
        let values = self.values(service, endpoint, Path::new("/"));
        Ok((self.program(&command.program)?, fill_all(&command.args, &values)?))
    }
}

/// A template with its values.
pub(crate) fn fill(template: &Template, values: &Values) -> Result<String, DeployError> {
    template
        .fill(values)
        .map_err(|UnknownPlaceholder { name, remedy }| DeployError::Unmet {
            need: format!("the placeholder {{{name}}} of the description has no value"),
            remedy,
        })
}

/// An environment with its values.
pub(crate) fn fill_env(
    env: &BTreeMap<EnvName, Template>,
    values: &Values,
) -> Result<Vec<(String, String)>, DeployError> {
    let filled = env
        .iter()
        .map(|(name, value)| Ok((name.as_str().to_owned(), fill(value, values)?)));
    filled.collect()
}

/// Templates with their values.
pub(crate) fn fill_all(templates: &[Template], values: &Values) -> Result<Vec<String>, DeployError> {
    templates.iter().map(|template| fill(template, values)).collect()
}
