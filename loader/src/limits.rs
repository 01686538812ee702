//! The limits of this machine that a load could run into, checked before it starts.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::error::LoadError;

/// Descriptors that are no connections: files, event loops, timers, what the controller has open.
const RESERVE: u64 = 128;

/// Refuses a load that could have more connections open than there are descriptors or local ports.
///
/// The soft limit on open files is raised to the hard one first.
pub fn check(connections: u64) -> Result<(), LoadError> {
    let limit = raise_open_files()?;
    check_files(connections, limit)?;
    check_ports(connections, Path::new("/proc/sys/net/ipv4/ip_local_port_range"))
}

fn check_files(connections: u64, limit: u64) -> Result<(), LoadError> {
    let needed = connections + RESERVE;
    if needed > limit {
        Err(LoadError::Files { needed, limit })
    } else {
        Ok(())
    }
}

/// A file that cannot be read, as in a container without it, refuses nothing.
fn check_ports(needed: u64, range: &Path) -> Result<(), LoadError> {
    let available = fs::read_to_string(range)
        .ok()
        .and_then(|text| ports(&text))
        .unwrap_or(u64::MAX);
    if needed > available {
        Err(LoadError::Ports { needed, available })
    } else {
        Ok(())
    }
}

fn ports(text: &str) -> Option<u64> {
    let mut ends = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

fn raise_open_files() -> Result<u64, LoadError> {
    let system = |what| {
        move |errno: nix::Error| LoadError::System {
            what,
            source: errno.into(),
        }
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(system("read the limit on open files"))?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(system("raise the limit on open files"))?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn too_few_files_are_refused_with_the_command_that_helps() {
        check_files(1000, 1000 + RESERVE).unwrap();
        let message = check_files(1001, 1000 + RESERVE).unwrap_err().to_string();
        assert!(
            message.contains("ulimit -Hn 1129") && message.contains("may open 1128"),
            "{message}"
        );
    }

    #[test]
    fn too_few_ports_are_refused_with_the_sysctl_that_helps() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "32768\t32800").unwrap();
        check_ports(33, file.path()).unwrap();
        let message = check_ports(34, file.path()).unwrap_err().to_string();
        assert!(
            message.contains("sysctl -w net.ipv4.ip_local_port_range") && message.contains("leaves 33"),
            "{message}"
        );
        check_ports(1 << 40, Path::new("/nonexistent")).unwrap();
    }
}
