//! The values of keys that are not set.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use protocol::Name;

/// Suits a controller on the same machine.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The host name as a [`Name`].
#[must_use]
pub fn name() -> Name {
    Name::of_host(&sysinfo::System::host_name().unwrap_or_default())
}

/// `/var/lib/jung` for root, else `$XDG_STATE_HOME/jung`, else `~/.local/state/jung`.
#[must_use]
pub fn state() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return "/var/lib/jung".into();
    }
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    base.filter(|base| base.is_absolute())
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("jung")
}

/// `workload` next to this program, else on the PATH. If there is none, the path next to this program, which drivers report as missing.
#[must_use]
pub fn workload() -> PathBuf {
    program("workload")
}

/// `broker`, found like `workload`.
#[must_use]
pub fn broker() -> PathBuf {
    program("broker")
}

/// The script in the repository in which this program was built, seen from `target/<profile>`; else `kafka.sh`, found like `workload`.
#[must_use]
pub fn apache_kafka() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let script = own.ancestors().nth(3).map(|root| root.join("deploy/kafka/kafka.sh"));
    script
        .filter(|script| script.is_file())
        .unwrap_or_else(|| program("kafka.sh"))
}

/// `services` in the repository in which this program was built, seen from `target/<profile>`; else next to this program.
#[must_use]
pub fn services() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.ancestors().nth(3).map(|root| root.join("services"));
    folder
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(|| own.with_file_name("services"))
}

/// The path of a program next to this one, else on the PATH, else where it would be next to this one.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    };
    if beside.is_file() {
        beside
    } else {
        on_path().unwrap_or(beside)
    }
}
