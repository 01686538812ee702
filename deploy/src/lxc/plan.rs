//! What the container of a service is started from: of the workload program, or described.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use nix::unistd::User;
use protocol::facts::ImageRecord;

use super::rootfs::{self, PROGRAM};
use crate::mark::Mark;
use crate::service::{Described, Program, Service, ServiceDir, dir_path, root};
use crate::{DeployError, Host};

/// What a container is started from. Its files are removed with it.
#[derive(Debug)]
pub(super) struct ContainerPlan {
    /// Its root file system, which containers share.
    pub(super) root: PathBuf,
    /// The program in it, absolute.
    pub(super) program: PathBuf,
    /// Its arguments; `None`: those of the workload program, which depend on the container's address.
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Vec<(String, String)>,
    pub(super) user: Option<User>,
    pub(super) directory: Option<PathBuf>,
    /// The files of a described service.
    pub(super) dir: Option<ServiceDir>,
    /// What the root is, if the service is described.
    pub(super) record: Option<ImageRecord>,
}

impl ContainerPlan {
    /// The plan of a service. Creates its root file system and its files.
    ///
    /// # Errors
    /// [`DeployError`].
    pub(super) async fn new(
        host: &Host,
        directory: &Path,
        service: &Service,
        mark: &Mark,
    ) -> Result<Self, DeployError> {
        let Program::Described(described) = &service.program else {
            return Ok(Self {
                root: rootfs::create(directory, &host.workload).await?,
                program: Path::new("/").join(PROGRAM),
                args: None,
                env: Vec::new(),
                user: None,
                directory: None,
                dir: None,
                record: None,
            });
        };
        let (directory, state, mark) = (directory.to_owned(), host.state.clone(), mark.clone());
        let (service, described) = (service.clone(), described.clone());
        let planned = tokio::task::spawn_blocking(move || {
            let path = dir_path(&state, &mark)?;
            Self::described(&directory, &service, &described, path)
        });
        planned.await.unwrap_or_else(|error| {
            Err(DeployError::Platform {
                platform: "lxc",
                message: error.to_string(),
            })
        })
    }

    fn described(
        directory: &Path,
        service: &Service,
        described: &Described,
        path: PathBuf,
    ) -> Result<Self, DeployError> {
        let (root, hash) = rootfs::of_tree(directory, &root::of_program(described)?)?;
        let inside = Path::new(root::DIR);
        let listen = service.port.map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        let values = described.values(service.name.as_str(), listen, inside);
        let launchable = described.launchable(&values, inside)?;
        let has_line_break = |(_, value): &&(String, String)| value.contains('\n');
        if let Some((name, _)) = launchable.env.iter().find(has_line_break) {
            return Err(DeployError::Unmet {
                need: format!(
                    "the environment variable {name} has several lines, which LXC's configuration cannot hold"
                ),
                remedy: "write one line".into(),
            });
        }
        let user = described.host_user()?;
        Ok(Self {
            dir: Some(ServiceDir::create(path, described, &values, user.as_ref())?),
            record: Some(ImageRecord {
                name: root.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                id: hash,
                digests: Vec::new(),
            }),
            root,
            program: launchable.program,
            args: Some(launchable.args),
            env: launchable.env,
            user,
            directory: Some(launchable.directory),
        })
    }

    /// The name of the program's process, which the kernel cuts to 15 bytes.
    pub(super) fn process_name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        String::from_utf8_lossy(&name.as_bytes()[..name.len().min(15)]).into_owned()
    }
}
