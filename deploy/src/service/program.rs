//! Programs that descriptions name.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use protocol::spec::ProgramPath;

use crate::{DeployError, programs};

/// The absolute path of a program: as it is, below the folder of the description, or looked up in the usual folders.
///
/// # Errors
/// [`DeployError::Unmet`] if it does not exist, or cannot be executed on this host.
pub(super) fn find(path: &ProgramPath, folder: Option<&Path>) -> Result<PathBuf, DeployError> {
    let text = path.as_str();
    let found = if text.starts_with('/') {
        PathBuf::from(text)
    } else if !text.contains('/') {
        programs::find(text, "install it, or write its absolute path in the description")?
    } else if let Some(folder) = folder {
        folder.join(text)
    } else {
        return Err(DeployError::Unmet {
            need: format!(
                "the program {text} is a path below the folder of a description, and this description came in a message"
            ),
            remedy: "write an absolute path, or put the description into services/ on the target host".into(),
        });
    };
    check(&found)?;
    Ok(found)
}

/// Checks that a file can be executed on this host.
///
/// # Errors
/// [`DeployError::Unmet`] if it does not exist, is not executable, or is for another architecture.
pub fn check(program: &Path) -> Result<(), DeployError> {
    let refused = |why: String, remedy: &str| {
        Err(DeployError::Unmet {
            need: format!("the program {} {why}", program.display()),
            remedy: remedy.to_owned(),
        })
    };
    let metadata = match fs::metadata(program) {
        Ok(metadata) => metadata,
        Err(error) => {
            return refused(
                format!("cannot be used: {error}"),
                "install it, or correct the description",
            );
        }
    };
    if !metadata.is_file() {
        return refused("is not a file".into(), "correct the description");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return refused("is not executable".into(), "make it executable (chmod +x)");
    }
    let mut head = Vec::new();
    let read = File::open(program).and_then(|file| file.take(20).read_to_end(&mut head));
    if let Err(error) = read {
        return refused(format!("cannot be read: {error}"), "let the runner's user read it");
    }
    match machine(&head) {
        Some(machine) if machine != std::env::consts::ARCH => refused(
            format!("is for {machine}, and this host is {}", std::env::consts::ARCH),
            "build it for this host",
        ),
        _ if head.starts_with(b"\x7fELF") || head.starts_with(b"#!") => Ok(()),
        _ => refused(
            "is neither an ELF file nor a script that begins with #!".into(),
            "name the program itself",
        ),
    }
}

/// The machine of an ELF file, by the first 20 bytes (elf(5)); `None`: not an ELF file, or too short.
fn machine(head: &[u8]) -> Option<&'static str> {
    const MACHINES: [(u16, &str); 6] = [
        (3, "x86"),
        (40, "arm"),
        (62, "x86_64"),
        (183, "aarch64"),
        (243, "riscv64"),
        (21, "powerpc64"),
    ];
    let is_little = match head.get(..6)? {
        [0x7f, b'E', b'L', b'F', _, order] => *order == 1,
        _ => return None,
    };
    let bytes: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    let number = if is_little {
        u16::from_le_bytes(bytes)
    } else {
        u16::from_be_bytes(bytes)
    };
    let known = MACHINES.iter().find(|(known, _)| *known == number);
    Some(known.map_or("another architecture", |(_, name)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8], mode: u32) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        check(&file).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_refused_by_name() {
        let mut foreign = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(refusal(&foreign, 0o755), "fine");
        assert_eq!(refusal(b"#!/bin/sh\n", 0o755), "fine");
        assert!(refusal(&foreign, 0o644).contains("is not executable: make it"));
        foreign[18] = 8;
        assert!(refusal(&foreign, 0o755).contains("is for another architecture, and this host is"));
        foreign[18] = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
        assert!(refusal(&foreign, 0o755).contains("build it for this host"));
        assert!(refusal(b"text", 0o755).contains("neither an ELF file nor a script"));
        assert!(refusal(b"", 0o755).contains("neither"));
        assert!(
            check(Path::new("/nowhere/x"))
                .unwrap_err()
                .to_string()
                .contains("/nowhere/x")
        );
        assert!(
            check(Path::new("/usr"))
                .unwrap_err()
                .to_string()
                .contains("is not a file")
        );
    }

    #[test]
    fn programs_are_looked_up_by_their_form() {
        let find = |text: &str, folder: Option<&Path>| find(&text.parse().unwrap(), folder);
        assert!(find("sh", None).unwrap().ends_with("sh"));
        assert_eq!(find("/bin/sh", None).unwrap(), Path::new("/bin/sh"));
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::copy("/bin/sh", dir.path().join("bin/server")).unwrap();
        assert_eq!(
            find("bin/server", Some(dir.path())).unwrap(),
            dir.path().join("bin/server")
        );
        for (text, need) in [
            ("bin/server", "came in a message"),
            ("no-such-program", "is not installed"),
        ] {
            assert!(find(text, None).unwrap_err().to_string().contains(need));
        }
    }
}
