//! The files of LXC containers: configuration, LXC's log, and the lock files that LXC leaves behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::summary::Exit;

use super::config::{self, Config, SharedConfig};
use super::plan::ContainerPlan;
use crate::DeployError;
use crate::mark::Mark;
use crate::network::AddressReservation;

/// The directory of root's lock files.
const LOCKS: &str = "/run/lxc/lock";

/// The files of one container: its configuration, and LXC's log. Dropping it removes them.
#[derive(Debug)]
pub(super) struct Files {
    containers: PathBuf,
    name: String,
}

impl Files {
    /// Writes the configuration file.
    pub(super) fn write(
        shared: &SharedConfig,
        mark: &Mark,
        plan: &ContainerPlan,
        address: &AddressReservation,
    ) -> Result<Self, DeployError> {
        let files = Self {
            containers: shared.containers.clone(),
            name: mark.container(),
        };
        let config = Config {
            mark,
            plan,
            bridge: address.bridge(),
            interface: address.interface(),
            address: address.ip(),
            gateway: address.host(),
            resources: &shared.resources,
            layout: &shared.layout,
            seccomp: config::seccomp(),
            log: &files.log(),
        };
        let written = fs::create_dir_all(files.directory()).and_then(|()| fs::write(files.config(), config.text()));
        written.map_err(|source| DeployError::Io {
            what: format!("writing {}", files.config().display()),
            source,
        })?;
        Ok(files)
    }

    fn directory(&self) -> PathBuf {
        self.containers.join(&self.name)
    }

    fn config(&self) -> PathBuf {
        self.directory().join("config")
    }

    fn log(&self) -> PathBuf {
        self.directory().join("lxc.log")
    }

    /// The arguments of `lxc-start`; those of the service's program are passed on as they are.
    pub(super) fn arguments(&self, program: &Path, service: Vec<String>) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = [
            "--foreground".to_owned(),
            format!("--name={}", self.name),
            format!("--lxcpath={}", text(&self.containers)),
            format!("--rcfile={}", text(&self.config())),
            "--".to_owned(),
            text(program),
        ];
        own.into_iter().chain(service).collect()
    }

    /// How the container with this first process ended.
    pub(super) fn exit(&self, pid: u32) -> Exit {
        let log = fs::read(self.log()).unwrap_or_default();
        parse_exit(&String::from_utf8_lossy(&log), pid)
    }

    /// Removes them. Returns what could not be removed.
    pub(super) fn remove(&self) -> Option<String> {
        let removed = fs::remove_dir_all(self.directory());
        remove_lock(&self.containers, &self.name);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Some(format!("{}: {error}", self.directory().display()))
            }
            _ => None,
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.remove();
    }
}

/// How the container with the first process `pid` ended, from LXC's log at level INFO. Every end but exit code 0 has a line.
fn parse_exit(log: &str, pid: u32) -> Exit {
    let prefix = format!("Child <{pid}> ended on ");
    let text = log
        .lines()
        .rev()
        .find_map(|line| Some(line.split_once(&prefix)?.1.trim_end()));
    let Some(text) = text else {
        return Exit::Code(0);
    };
    let number = |kind: &str| {
        text.strip_prefix(kind)?
            .strip_suffix(')')?
            .rsplit_once('(')?
            .1
            .parse()
            .ok()
    };
    match (number("error "), number("signal ")) {
        (Some(code), _) => Exit::Code(code),
        (_, Some(signal)) => Exit::Signal(signal),
        _ => Exit::Unknown,
    }
}

/// Removes the lock file of a container that is gone, and the directories around it that are empty then.
fn remove_lock(containers: &Path, name: &str) {
    let Some(directory) = locks(containers) else { return };
    let _ = fs::remove_file(directory.join(format!(".{name}")));
    for directory in directory
        .ancestors()
        .take_while(|directory| *directory != Path::new(LOCKS))
    {
        if fs::remove_dir(directory).is_err() {
            return;
        }
    }
}

/// Removes what a crashed previous instance left behind. Returns a line for each.
pub(super) fn sweep(containers: &Path) -> Vec<String> {
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    let remove = |entry: fs::DirEntry| {
        remove_lock(containers, &entry.file_name().to_string_lossy());
        match fs::remove_dir_all(entry.path()) {
            Ok(()) => format!("removed {}", entry.path().display()),
            Err(error) => format!("could not remove {}: {error}", entry.path().display()),
        }
    };
    entries.map(remove).collect()
}

fn locks(containers: &Path) -> Option<PathBuf> {
    Some(Path::new(LOCKS).join(std::path::absolute(containers).ok()?.strip_prefix("/").ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log lines of LXC 5.0.2, with their surroundings.
    fn line(end: &str) -> String {
        format!(
            "lxc-start x 20261122085959.823 NOTICE   start - ../src/lxc/start.c:post_start:2205 - Started \"/workload\" with pid \"77\"\n\
             lxc-start x 20261122085959.825 INFO     error - ../src/lxc/error.c:lxc_error_set_and_log:31 - {end}\n\
             lxc-start x 20261122085959.835 INFO     network - ../src/lxc/network.c:lxc_delete_network_priv:3680 - Removed interface \"jt\" from \"jb\"\n"
        )
    }

    #[test]
    fn exits_are_parsed() {
        assert_eq!(parse_exit(&line("Child <77> ended on error (2)"), 77), Exit::Code(2));
        assert_eq!(
            parse_exit(&line("Child <77> ended on signal Killed(9)"), 77),
            Exit::Signal(9)
        );
        assert_eq!(parse_exit(&line("something else"), 77), Exit::Code(0));
        assert_eq!(
            parse_exit(&line("Child <78> ended on error (2)"), 77),
            Exit::Code(0),
            "another container's line"
        );
        assert_eq!(parse_exit(&line("Child <77> ended on a whim"), 77), Exit::Unknown);
    }
}
