//! What holds where nothing is written.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use protocol::Name;

/// Controllers on the same machine reach it here; a lab has to say its own.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The host's name, made a [`Name`].
#[must_use]
pub fn name() -> Name {
    name_from(&sysinfo::System::host_name().unwrap_or_default())
}

/// Small letters, digits, `-` and `_` stay, everything else becomes `-`; a domain is cut off.
#[expect(clippy::expect_used, reason = "the fallback is a name")]
fn name_from(host: &str) -> Name {
    let host = host.split('.').next().unwrap_or_default().to_lowercase();
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let text: String = host.chars().map(plain).take(Name::MAX).collect();
    let text = text.trim_start_matches(['-', '_']);
    text.parse().unwrap_or_else(|_| "runner".parse().expect("a name"))
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

/// `workload` beside this program, else on the PATH. Where there is none, the place beside this program: drivers tell what is missing.
#[must_use]
pub fn workload() -> PathBuf {
    program("workload")
}

/// `broker`, found like the workload.
#[must_use]
pub fn broker() -> PathBuf {
    program("broker")
}

/// The script of the repository that this program was built in, `target/<profile>/..`; else `kafka.sh`, found like the workload.
#[must_use]
pub fn apache_kafka() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let script = own.ancestors().nth(3).map(|root| root.join("deploy/kafka/kafka.sh"));
    script
        .filter(|script| script.is_file())
        .unwrap_or_else(|| program("kafka.sh"))
}

/// A program beside this one, else on the PATH, else where it would be beside this one.
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

#[cfg(test)]
mod tests {
    #[test]
    fn any_host_name_becomes_a_name() {
        for (host, name) in [
            ("Lab-2.example.org", "lab-2"),
            ("__x y", "x-y"),
            ("", "runner"),
            ("ß", "runner"),
            (&"a".repeat(200), &"a".repeat(63)),
        ] {
            assert_eq!(super::name_from(host).as_str(), name, "{host:?}");
        }
    }
}
