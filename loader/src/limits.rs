//! Checks, before a load starts, that it stays within the machine's limits.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::load::GeneratorLimits;

use super::error::LoadError;

/// File descriptors reserved for other purposes: files, event loops, timers, the controller.
const RESERVE: u64 = 128;

/// The local port range.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Refuses a load that could need more file descriptors or local ports than available.
///
/// First raises the soft limit on open files to the hard limit.
pub fn check(connections: u64) -> Result<(), LoadError> {
    let limit = raise_open_files()?;
    check_files(connections, limit)?;
    check_ports(connections, available_ports(Path::new(PORT_RANGE)))
}

/// The limits of this machine.
#[must_use]
pub fn of_this_machine() -> GeneratorLimits {
    let online = fs::read_to_string("/sys/devices/system/cpu/online");
    GeneratorLimits {
        cpus: online.ok().and_then(|text| text.trim().parse().ok()),
        open_files: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard),
        local_ports: available_ports(Path::new(PORT_RANGE)),
    }
}

/// All limits of a machine that a load with this many concurrent connections would exceed.
#[must_use]
pub fn exceeded(connections: u64, limits: &GeneratorLimits) -> Vec<LoadError> {
    let files = check_files(connections, limits.open_files.unwrap_or(u64::MAX));
    let ports = check_ports(connections, limits.local_ports);
    files.err().into_iter().chain(ports.err()).collect()
}

fn check_files(connections: u64, limit: u64) -> Result<(), LoadError> {
    let needed = connections.saturating_add(RESERVE);
    if needed > limit {
        Err(LoadError::Files { needed, limit })
    } else {
        Ok(())
    }
}

/// An unknown range, as in a container without the file, is not checked.
fn check_ports(needed: u64, available: Option<u64>) -> Result<(), LoadError> {
    match available {
        Some(available) if needed > available => Err(LoadError::Ports { needed, available }),
        _ => Ok(()),
    }
}

fn available_ports(range: &Path) -> Option<u64> {
    ports(&fs::read_to_string(range).ok()?)
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
    fn too_few_files_are_an_error_with_the_remedy() {
        check_files(1000, 1000 + RESERVE).unwrap();
        let message = check_files(1001, 1000 + RESERVE).unwrap_err().to_string();
        assert!(
            message.contains("ulimit -Hn 1129") && message.contains("may open 1128"),
            "{message}"
        );
    }

    #[test]
    fn too_few_ports_are_an_error_with_the_remedy() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "32768\t32800").unwrap();
        let available = available_ports(file.path());
        check_ports(33, available).unwrap();
        let message = check_ports(34, available).unwrap_err().to_string();
        assert!(
            message.contains("sysctl -w net.ipv4.ip_local_port_range") && message.contains("leaves 33"),
            "{message}"
        );
        check_ports(1 << 40, available_ports(Path::new("/nonexistent"))).unwrap();
    }
}
