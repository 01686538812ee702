//! SSH access to a guest: for a disk image on which the service is to be started as an administrator would, by `scp` and `ssh`.
//!
//! The client's and the host's keys are generated for each deployment and deleted with it. The guest gets them by cloud-init, so its host key is known before
//! the first connection, and no other key is accepted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use protocol::ids::AttemptId;
use tokio::process::Command;
use tokio::time::sleep;

use super::files::TempFile;
use crate::DeployError;
use crate::guest::linux::seed::{Access, PROGRAM};
use crate::programs::find;

/// The port of the guest's SSH server.
pub(super) const PORT: u16 = 22;
/// How to install OpenSSH.
const REMEDY: &str =
    "install the OpenSSH client (Debian: openssh-client), or set start = \"unit\" in the guest's description";
/// The name under which the guest's host key is known, whatever its address.
const ALIAS: &str = "jung-guest";
/// Interval between attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The keys of one deployment. Dropping it removes their files.
#[derive(Debug)]
pub(super) struct Keys {
    client: TempFile,
    known_hosts: TempFile,
    access: Access,
    programs: Programs,
}

/// OpenSSH's programs.
#[derive(Debug)]
struct Programs {
    ssh: PathBuf,
    scp: PathBuf,
}

/// Checks that OpenSSH is installed.
///
/// # Errors
/// [`DeployError::Unmet`] with the program that is missing.
pub(super) fn check() -> Result<(), DeployError> {
    ["ssh-keygen", "ssh", "scp"]
        .into_iter()
        .try_for_each(|program| find(program, REMEDY).map(drop))
}

impl Keys {
    /// Generates the keys.
    ///
    /// # Errors
    /// [`DeployError`] if a program is missing or fails.
    pub(super) async fn generate(state: &Path, attempt: AttemptId) -> Result<Self, DeployError> {
        let programs = Programs {
            ssh: find("ssh", REMEDY)?,
            scp: find("scp", REMEDY)?,
        };
        let (client, authorized) = generate_pair(state, attempt, "client").await?;
        let (host, host_public) = generate_pair(state, attempt, "host").await?;
        let host_private = std::fs::read_to_string(host.path()).map_err(|source| DeployError::Io {
            what: format!("reading {}", host.path().display()),
            source,
        })?;
        let known = format!("{ALIAS} {host_public}\n");
        Ok(Self {
            client,
            known_hosts: TempFile::write(state, attempt, "known_hosts", known.as_bytes())?,
            access: Access {
                authorized,
                host_private,
                host_public,
            },
            programs,
        })
    }

    /// The keys as the guest's seed needs them.
    pub(super) const fn access(&self) -> &Access {
        &self.access
    }

    /// Copies the program into a guest and starts its unit. Retries until that works, since the SSH server is not up at first; `log` gets each new error.
    pub(super) async fn install(&self, at: SocketAddr, program: &Path, log: impl Fn(&str)) {
        let mut last = String::new();
        while let Err(error) = self.try_install(at, program).await {
            if error != last {
                log(&error);
                last = error;
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn try_install(&self, at: SocketAddr, program: &Path) -> Result<(), String> {
        let mut copy = self.command(&self.programs.scp, "-P", at);
        copy.arg(program).arg(format!("root@{}:{PROGRAM}.new", at.ip()));
        run(copy).await?;
        let mut start = self.command(&self.programs.ssh, "-p", at);
        start.arg(format!("root@{}", at.ip()));
        // A fixed command line: the service's arguments are in the unit.
        start.arg(format!(
            "mv {PROGRAM}.new {PROGRAM} && chmod 755 {PROGRAM} && systemctl start jung.service"
        ));
        run(start).await
    }

    /// A non-interactive command that accepts only the keys of this deployment.
    fn command(&self, program: &Path, port: &str, at: SocketAddr) -> Command {
        let mut command = Command::new(program);
        command.args(["-q", "-F", "none", port]).arg(at.port().to_string());
        command.arg("-i").arg(self.client.path());
        let known = format!("UserKnownHostsFile={}", self.known_hosts.path().display());
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            "ConnectTimeout=5",
            "LogLevel=ERROR",
            &format!("HostKeyAlias={ALIAS}"),
            &known,
        ] {
            command.args(["-o", option]);
        }
        command
    }
}

/// Generates a key pair; returns the file of the private key and the text of the public key.
async fn generate_pair(state: &Path, attempt: AttemptId, whose: &str) -> Result<(TempFile, String), DeployError> {
    let private = TempFile::new(state, attempt, &format!("{whose}.key"))?;
    let public = TempFile::new(state, attempt, &format!("{whose}.key.pub"))?;
    let mut keygen = Command::new(find("ssh-keygen", REMEDY)?);
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "jung", "-f"])
        .arg(private.path());
    run(keygen).await.map_err(|message| DeployError::Platform {
        platform: "ssh-keygen",
        message,
    })?;
    let text = std::fs::read_to_string(public.path()).map_err(|source| DeployError::Io {
        what: format!("reading {}", public.path().display()),
        source,
    })?;
    Ok((private, text.trim().to_owned()))
}

/// Runs a program to its end. The error has its output.
async fn run(mut command: Command) -> Result<(), String> {
    let Output { status, stdout, stderr } = command
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&[stdout, stderr].concat())
        .trim()
        .replace('\n', " ");
    Err(format!("ssh: {status}: {output}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_are_generated_and_leave_no_file() {
        let state = tempfile::tempdir().unwrap();
        let keys = Keys::generate(state.path(), AttemptId::fresh()).await.unwrap();
        assert!(keys.access().authorized.starts_with("ssh-ed25519 "));
        assert!(
            keys.access()
                .host_private
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
        );
        assert_ne!(keys.access().authorized, keys.access().host_public);
        let nobody = "127.0.0.1:1".parse().unwrap();
        let refused = keys.try_install(nobody, Path::new("/bin/true")).await.unwrap_err();
        assert!(refused.starts_with("ssh: "), "{refused}");
        drop(keys);
        let left = std::fs::read_dir(state.path().join("guests/overlays")).unwrap();
        assert_eq!(left.count(), 0);
    }
}
