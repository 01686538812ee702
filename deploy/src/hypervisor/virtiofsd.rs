//! virtiofsd: one process serves one shared directory to one guest, and ends with the guest.
//!
//! It gets a socket that already listens, and QEMU gets the only connection to it. So no other process on the host can talk to a program that reads and
//! writes files as root, there is nothing to wait for, and the socket leaves nothing in the file system.
//! The `virtiofsd` of QEMU 7.2 (Debian 12) and the Rust one (tested: 1.13.3) both accept these options in this form.

use std::fs::File;
use std::future::pending;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::{fs, io};

use futures_util::future::select_all;
use nix::sched::CpuSet;
use protocol::ids::{AttemptId, Name};

use super::spec::VmShare;
use crate::guest::{Guest, Share};
use crate::mark::Mark;
use crate::process::{Launch, Process, ReadOnly};
use crate::procfs::Procfs;
use crate::programs::find;
use crate::{DeployError, PlatformProcess, log};

/// How to install virtiofsd.
const REMEDY: &str = "install it (Debian 12: qemu-system-common; later: virtiofsd), or set `virtiofsd` in the guest's description to its path";
/// Where distributions install it outside of PATH.
const PATHS: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];
/// Its name in the resource breakdown.
const NAME: &str = "virtiofsd";

/// The virtiofsd program for a guest with shares.
///
/// # Errors
/// [`DeployError::Unmet`] if it is not installed, or this process is not root, as virtiofsd must be.
pub(super) fn program(guest: &Guest) -> Result<PathBuf, DeployError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(DeployError::Unmet {
            need: "virtiofsd needs root to share directories with a guest".into(),
            remedy: "run the runner as root, or use disks instead of shares".into(),
        });
    }
    match &guest.virtiofsd {
        Some(named) if named.is_file() => Ok(named.clone()),
        Some(named) => Err(DeployError::Unmet {
            need: format!("{} does not exist", named.display()),
            remedy: REMEDY.into(),
        }),
        None => {
            let path = PATHS.iter().map(PathBuf::from).find(|path| path.is_file());
            path.map_or_else(|| find(NAME, REMEDY), Ok)
        }
    }
}

/// Checks that the shared directories exist.
///
/// # Errors
/// [`DeployError::Unmet`] with the first that does not.
pub(super) fn check(guest: &Guest) -> Result<(), DeployError> {
    let missing = guest.shares.iter().find(|share| !share.path.is_dir());
    missing.map_or(Ok(()), |share| {
        Err(DeployError::Unmet {
            need: format!("{} of share {:?} is not a directory", share.path.display(), share.tag),
            remedy: "create it, or correct the guest's description".into(),
        })
    })
}

/// How to run the virtiofsd processes of a guest.
#[derive(Debug)]
pub(super) struct VirtiofsdConfig<'a> {
    /// The program.
    pub(super) program: &'a Path,
    /// The mark of the guest that it serves.
    pub(super) mark: &'a Mark,
    /// The runner's state directory, which holds the socket for a moment.
    pub(super) state: &'a Path,
    /// The guest's log; each virtiofsd logs to a file of its own beside it.
    pub(super) log: &'a Path,
    /// The guest's CPUs, to which virtiofsd is restricted too.
    pub(super) affinity: Option<CpuSet>,
    /// The guest's NUMA nodes.
    pub(super) mems: Option<Vec<u64>>,
}

/// A running virtiofsd. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Virtiofsd {
    tag: String,
    log: PathBuf,
    process: Process,
}

impl Virtiofsd {
    /// Starts it for a directory. Returns QEMU's connection to it too.
    pub(super) fn start(config: &VirtiofsdConfig<'_>, share: &Share) -> Result<(Self, OwnedFd), DeployError> {
        let failed = |source| DeployError::Io {
            what: format!(
                "sharing {} with the guest of service {}",
                share.path.display(),
                config.mark.service
            ),
            source,
        };
        let (listener, connection) = socket_pair(config.state).map_err(failed)?;
        let log = config.log.with_extension(format!("{}.log", share.tag));
        let mut environment = vec![("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
        environment.extend(config.mark.environment());
        let read_only = (!share.writable).then(|| ReadOnly::of(&share.path));
        let launch = Launch::new(
            config.program.to_owned(),
            arguments(&listener, share),
            environment,
            log.clone(),
        );
        let process = Process::spawn(Launch {
            affinity: config.affinity,
            mems: config.mems.clone(),
            inherited: vec![listener],
            read_only: read_only.transpose().map_err(failed)?,
            ..launch
        });
        let process = process.map_err(failed)?;
        let tag = share.tag.clone();
        Ok((Self { tag, log, process }, connection))
    }

    /// The share as QEMU's command line needs it.
    pub(super) fn vm_share(&self, connection: &OwnedFd) -> VmShare {
        VmShare {
            tag: self.tag.clone(),
            connection: connection.as_raw_fd(),
        }
    }

    /// Its processes, which count as overhead: virtiofsd and its sandboxed child.
    pub(super) fn processes(&self, service: &Name) -> Vec<PlatformProcess> {
        let Ok(name) = NAME.parse::<Name>() else {
            return Vec::new();
        };
        let process = |pid| PlatformProcess {
            name: name.clone(),
            service: Some(service.clone()),
            pid,
        };
        Procfs::default()
            .tree(self.process.pid())
            .into_iter()
            .map(process)
            .collect()
    }

    /// How it failed, if it has. One that ended because QEMU did has not failed.
    pub(super) fn failure(&mut self) -> Option<String> {
        let status = self.process.try_wait()?;
        (!status.success()).then(|| self.describe_exit(Some(status)))
    }

    fn describe_exit(&self, status: Option<ExitStatus>) -> String {
        let status = status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
        format!(
            "virtiofsd of share {:?} ended ({status}): {}",
            self.tag,
            log::tail(&self.log)
        )
    }
}

/// Waits until one of them ends, and describes how; forever if there is none. Cancel-safe.
pub(super) async fn ended(running: &mut [Virtiofsd]) -> String {
    if running.is_empty() {
        return pending().await;
    }
    let waiting = running.iter_mut().map(|virtiofsd| Box::pin(virtiofsd.process.wait()));
    let (status, which, _) = select_all(waiting).await;
    running[which].describe_exit(status.ok())
}

/// `-o` is how QEMU's own virtiofsd takes its options; the Rust one accepts it too.
fn arguments(listener: &OwnedFd, share: &Share) -> Vec<String> {
    vec![
        format!("--fd={}", listener.as_raw_fd()),
        "-o".into(),
        format!("source={},sandbox=namespace,cache=auto", share.path.display()),
    ]
}

/// A listening socket and the first connection to it. Socket paths are limited to 107 bytes, so the directory is reached through its descriptor.
fn socket_pair(state: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    let dir = super::files::dir(state);
    fs::create_dir_all(&dir)?;
    let name = AttemptId::fresh().to_string();
    let open = File::open(&dir)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
    let both = UnixListener::bind(&short).and_then(|listener| Ok((listener, UnixStream::connect(&short)?)));
    let _ = fs::remove_file(dir.join(name));
    let (listener, connection) = both?;
    Ok((listener.into(), connection.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_works_below_a_long_path_and_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let deep = state.path().join("x".repeat(120));
        let (listener, connection) = socket_pair(&deep).unwrap();
        assert_eq!(fs::read_dir(super::super::files::dir(&deep)).unwrap().count(), 0);
        let listener = UnixListener::from(listener);
        let (theirs, _) = listener.accept().unwrap();
        io::Write::write_all(&mut UnixStream::from(connection), b"x").unwrap();
        let mut byte = [0];
        io::Read::read_exact(&mut &theirs, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_missing_program_or_directory_comes_with_its_remedy() {
        let guest = |more: &str| {
            let text = format!("preset = 'osv'\nkernel = '/k'\n{more}\n[[shares]]\npath = '/no/such'\ntag = 'x'");
            Guest::parse(Path::new("x.toml"), &text).unwrap()
        };
        let error = check(&guest("")).unwrap_err().to_string();
        assert!(error.contains("/no/such of share \"x\""), "{error}");
        let error = program(&guest("virtiofsd = '/no/such'")).unwrap_err().to_string();
        let expected = if nix::unistd::geteuid().is_root() {
            "/no/such does not exist"
        } else {
            "as root"
        };
        assert!(error.contains(expected), "{error}");
    }
}
