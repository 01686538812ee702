//! Finds load programs on this machine.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Why a program cannot be run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No folder of `PATH` has it.
    #[error("{0} is not installed on this machine (searched in PATH)")]
    NotInPath(String),
    /// The path does not exist, or is a directory.
    #[error("{} is not a file on this machine", .0.display())]
    NoFile(PathBuf),
    /// It has no execute permission.
    #[error("{} is not executable", .0.display())]
    NotExecutable(PathBuf),
    /// It is a program of another machine architecture.
    #[error("{} is a program for {given}, and this machine is {own}", path.display(), own = std::env::consts::ARCH)]
    Architecture {
        /// Its path.
        path: PathBuf,
        /// What it is for.
        given: String,
    },
}

impl Unusable {
    /// The remedy; `install` says how to install the program, if that is known.
    #[must_use]
    pub fn remedy(&self, install: &str) -> String {
        match self {
            Self::NotInPath(_) if !install.is_empty() => install.to_owned(),
            Self::NotInPath(_) => "install it, or write its path".to_owned(),
            Self::NoFile(_) => {
                "write the path of a program; a relative one begins where the controller is started".to_owned()
            }
            Self::NotExecutable(path) => format!("chmod +x {}", path.display()),
            Self::Architecture { .. } => "name a program that was built for this machine".to_owned(),
        }
    }
}

/// The absolute path of a program, given by name or path.
///
/// # Errors
/// [`Unusable`]: it is missing, not executable or for another architecture.
pub fn resolve(program: &str) -> Result<PathBuf, Unusable> {
    let path = if program.contains('/') {
        let path = std::path::absolute(program).unwrap_or_else(|_| program.into());
        if !path.is_file() {
            return Err(Unusable::NoFile(path));
        }
        path
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&folders).map(|folder| folder.join(program));
        let files: Vec<PathBuf> = candidates.filter(|path| path.is_file()).collect();
        let found = files.iter().find(|path| is_executable(path)).or(files.first());
        found.cloned().ok_or_else(|| Unusable::NotInPath(program.to_owned()))?
    };
    if !is_executable(&path) {
        return Err(Unusable::NotExecutable(path));
    }
    match architecture(&path) {
        Some(given) if !runs(&given) => Err(Unusable::Architecture { path, given }),
        _ => Ok(path),
    }
}

/// Whether this machine runs programs of an architecture: its own, or its 32-bit sibling, which some kernels run.
fn runs(given: &str) -> bool {
    let own = std::env::consts::ARCH;
    given == own || matches!((given, own), ("x86", "x86_64") | ("arm", "aarch64"))
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => hash.update(&bytes[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o111 != 0)
}

/// The architecture in an ELF header (elf(5): class, byte order, `e_machine`); `None`: not an ELF file, e.g. a script.
fn architecture(path: &Path) -> Option<String> {
    let mut head = [0; 20];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let machine = [head[18], head[19]];
    let machine = if head[5] == 2 {
        u16::from_be_bytes(machine)
    } else {
        u16::from_le_bytes(machine)
    };
    Some(match (machine, head[4]) {
        (3, _) => "x86".to_owned(),
        (40, _) => "arm".to_owned(),
        (62, _) => "x86_64".to_owned(),
        (183, _) => "aarch64".to_owned(),
        (243, 2) => "riscv64".to_owned(),
        (21, _) => "powerpc64".to_owned(),
        (22, 2) => "s390x".to_owned(),
        (other, _) => format!("ELF machine {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> String {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn programs_are_found_by_name_and_path() {
        assert!(resolve("sh").unwrap().is_absolute());
        let own = std::env::current_exe().unwrap();
        assert_eq!(resolve(own.to_str().unwrap()).unwrap(), own);
        let folder = tempfile::tempdir().unwrap();
        assert!(resolve(&program(folder.path(), "script", b"#!/bin/sh\n", 0o755)).is_ok());
    }

    #[test]
    fn unusable_programs_are_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let missing = resolve("no-such-program").unwrap_err();
        assert_eq!(missing.remedy("apt-get install it"), "apt-get install it");
        assert!(missing.to_string().contains("no-such-program"), "{missing}");
        assert!(matches!(resolve("/no/such"), Err(Unusable::NoFile(_))));
        assert!(matches!(
            resolve(folder.path().to_str().unwrap()),
            Err(Unusable::NoFile(_))
        ));
        let plain = resolve(&program(folder.path(), "plain", b"#!/bin/sh\n", 0o644)).unwrap_err();
        assert!(plain.remedy("").contains("chmod +x"), "{plain}");
        let mut elf = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\0\0";
        elf[18..].copy_from_slice(&21u16.to_le_bytes());
        let foreign = resolve(&program(folder.path(), "foreign", &elf, 0o755)).unwrap_err();
        assert!(foreign.to_string().contains("for powerpc64"), "{foreign}");
    }
}
