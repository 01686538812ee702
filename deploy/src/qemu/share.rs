//! The programs that serve guests their directories: one `virtiofsd` for each directory of each guest, with the guest's end as its own.
//!
//! It gets a socket that already listens, and QEMU the only connection to it: nobody else on the host can speak to a program that reads and writes
//! files as root, there is nothing to wait for, and nothing of the socket is in the file system once both have their end.
//! `virtiofsd` of QEMU 7.2 (Debian 12) and the one in Rust (tried: 1.13.3) take the same options in this form.

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

use super::args::VmShare;
use crate::accounts::Part;
use crate::guest::{Guest, Share};
use crate::mark::Mark;
use crate::process::{Launch, Process, ReadOnly};
use crate::procfs::Procfs;
use crate::programs::find;
use crate::{DeployError, log};

/// What to do where the program is missing.
const REMEDY: &str = "install it (Debian 12: qemu-system-common, later ones: virtiofsd), or name it as `virtiofsd` in the guest's description";
/// Where distributions put it, besides where programs are.
const PLACES: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];
/// What it is called where processes of the platform are counted.
const PART: &str = "virtiofsd";

/// The program for a guest that is shared with.
///
/// # Errors
/// [`DeployError::Unmet`] where it is not installed, or this process is not root, as it has to be.
pub(super) fn program(guest: &Guest) -> Result<PathBuf, DeployError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(DeployError::Unmet {
            need: "virtiofsd has to be root to give a guest its directories".into(),
            remedy: "run the runner as root, or give the guest disks".into(),
        });
    }
    match &guest.virtiofsd {
        Some(named) if named.is_file() => Ok(named.clone()),
        Some(named) => Err(DeployError::Unmet {
            need: format!("{} is no program", named.display()),
            remedy: REMEDY.into(),
        }),
        None => {
            let place = PLACES.iter().map(PathBuf::from).find(|place| place.is_file());
            place.map_or_else(|| find(PART, REMEDY), Ok)
        }
    }
}

/// Whether the directories are there.
///
/// # Errors
/// [`DeployError::Unmet`] with the first that is not.
pub(super) fn check(guest: &Guest) -> Result<(), DeployError> {
    let missing = guest.shares.iter().find(|share| !share.path.is_dir());
    missing.map_or(Ok(()), |share| {
        Err(DeployError::Unmet {
            need: format!("{} of share {:?} is no directory", share.path.display(), share.tag),
            remedy: "make it, or correct the guest's description".into(),
        })
    })
}

/// What a directory is served with.
#[derive(Debug)]
pub(super) struct Order<'a> {
    /// The program.
    pub(super) program: &'a Path,
    /// Whose guest it is for.
    pub(super) mark: &'a Mark,
    /// Where the socket is for a moment.
    pub(super) state: &'a Path,
    /// The guest's log; each program has one of its own beside it.
    pub(super) log: &'a Path,
    /// The guest's CPUs: what serves it gets no others.
    pub(super) affinity: Option<CpuSet>,
    /// The guest's NUMA nodes.
    pub(super) mems: Option<Vec<u64>>,
}

/// A directory that is served. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Served {
    tag: String,
    log: PathBuf,
    process: Process,
}

impl Served {
    /// Serves a directory; the connection is for QEMU.
    pub(super) fn start(order: &Order<'_>, share: &Share) -> Result<(Self, OwnedFd), DeployError> {
        let failed = |source| DeployError::Io {
            what: format!(
                "serving {} to the guest of service {}",
                share.path.display(),
                order.mark.service
            ),
            source,
        };
        let (listener, connection) = connected(order.state).map_err(failed)?;
        let log = order.log.with_extension(format!("{}.log", share.tag));
        let mut environment = vec![("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
        environment.extend(order.mark.environment());
        let read_only = (!share.writable).then(|| ReadOnly::of(&share.path));
        let process = Process::spawn(Launch {
            program: order.program.to_owned(),
            args: arguments(&listener, share),
            environment,
            log: log.clone(),
            output: None,
            doors: Vec::new(),
            affinity: order.affinity,
            mems: order.mems.clone(),
            inherited: vec![listener],
            read_only: read_only.transpose().map_err(failed)?,
        });
        let process = process.map_err(failed)?;
        let tag = share.tag.clone();
        Ok((Self { tag, log, process }, connection))
    }

    /// What QEMU is told of a connection.
    pub(super) fn device(&self, connection: &OwnedFd) -> VmShare {
        VmShare {
            tag: self.tag.clone(),
            connection: connection.as_raw_fd(),
        }
    }

    /// Its processes, which work for the platform: in its sandbox it is two.
    pub(super) fn parts(&self, service: &Name) -> Vec<Part> {
        let Ok(name) = PART.parse::<Name>() else {
            return Vec::new();
        };
        let part = |pid| Part {
            name: name.clone(),
            service: Some(service.clone()),
            pid,
        };
        Procfs::default()
            .tree(self.process.pid())
            .into_iter()
            .map(part)
            .collect()
    }

    /// How it broke, if it has; one that ended because QEMU did has not.
    pub(super) fn failure(&mut self) -> Option<String> {
        let status = self.process.try_wait()?;
        (!status.success()).then(|| self.words(Some(status)))
    }

    fn words(&self, status: Option<ExitStatus>) -> String {
        let status = status.map_or_else(|| "nobody saw how".to_owned(), |status| status.to_string());
        format!(
            "virtiofsd, which serves the share {:?}, ended ({status}): {}",
            self.tag,
            log::tail(&self.log)
        )
    }
}

/// Waits until one of them ends, and says how; for ever where there is none. Cancel-safe.
pub(super) async fn ended(served: &mut [Served]) -> String {
    if served.is_empty() {
        return pending().await;
    }
    let waiting = served.iter_mut().map(|one| Box::pin(one.process.wait()));
    let (status, which, _) = select_all(waiting).await;
    served[which].words(status.ok())
}

/// `-o` is how QEMU's own program takes its options; the one in Rust understands it too.
fn arguments(listener: &OwnedFd, share: &Share) -> Vec<String> {
    vec![
        format!("--fd={}", listener.as_raw_fd()),
        "-o".into(),
        format!("source={},sandbox=namespace,cache=auto", share.path.display()),
    ]
}

/// A listening socket and the first connection to it. The way to a socket may be 107 bytes long, so it is reached through its open directory.
fn connected(state: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    let dir = super::own::dir(state);
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
    fn a_connection_leaves_nothing_behind_and_may_be_far_down() {
        let state = tempfile::tempdir().unwrap();
        let deep = state.path().join("x".repeat(120));
        let (listener, connection) = connected(&deep).unwrap();
        assert_eq!(fs::read_dir(super::super::own::dir(&deep)).unwrap().count(), 0);
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
        let words = if nix::unistd::geteuid().is_root() {
            "/no/such is no program"
        } else {
            "as root"
        };
        assert!(error.contains(words), "{error}");
    }
}
