//! A root file system that holds a program of this host and what it needs: for containers and guests that have nothing else.
//!
//! The program's dynamic loader lists its libraries (`ld.so --list`, which musl's loader has, too), each of which keeps its path. What a program opens by
//! itself (modules, data) is not found so: the description names it (`include`).

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::User;
use protocol::spec::NativeForm;

use super::Described;
use crate::DeployError;
use crate::binary;
use crate::guest::tree::{Tree, TreeError};

/// Where the files of a service are in such a root.
pub(crate) const DIR: &str = "/service";

/// Folders in which every loader looks for libraries.
const DEFAULT_FOLDERS: [&str; 8] = [
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// The root of a described service's program: the program with its loader and libraries, what the description includes, users, and the usual folders. Not
/// the service's own files.
///
/// # Errors
/// [`DeployError::Unmet`] for a script, or a library that is missing; [`DeployError::Io`] for a file that cannot be read.
pub(crate) fn of_program(described: &Described) -> Result<Tree, DeployError> {
    let native = described.native()?;
    let program = described.program(&native.program)?;
    let mut tree = Tree::default();
    for dir in ["/dev", "/proc", "/sys", "/tmp", "/run", "/var/tmp", "/var/log", DIR] {
        tree.dir(dir).map_err(tree_error)?;
    }
    let bytes = read(&program)?;
    if bytes.starts_with(b"#!") {
        return Err(DeployError::Unmet {
            need: format!(
                "the program {} is a script, which needs its interpreter and its modules",
                program.display()
            ),
            remedy: "name an image with them: [container] image = \"...\"".into(),
        });
    }
    if let Some(loader) = binary::interpreter(&bytes) {
        add(&mut tree, Path::new(&loader))?;
        for library in libraries(Path::new(&loader), &program)? {
            add(&mut tree, &library)?;
            add_links(&mut tree, &library)?;
        }
    }
    put(&mut tree, &program, bytes, true)?;
    for path in &native.include {
        include(&mut tree, Path::new(path.as_str()))?;
    }
    add_users(&mut tree, native)?;
    Ok(tree)
}

/// Libraries whose functions OSv's kernel provides.
const OSV_PROVIDES: [&str; 9] = [
    "libc.so",
    "libm.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libresolv.so",
    "libcrypt.so",
    "libutil.so",
    "ld-linux",
];

/// The libraries of a described service's program that OSv does not provide, and what the description includes. Not the program.
///
/// # Errors
/// As [`of_program`].
pub(crate) fn libraries_for_osv(described: &Described) -> Result<Tree, DeployError> {
    let native = described.native()?;
    let program = described.program(&native.program)?;
    let mut tree = Tree::default();
    if let Some(loader) = binary::interpreter(&read(&program)?) {
        for library in libraries(Path::new(&loader), &program)? {
            let name = library.file_name().unwrap_or_default().to_string_lossy();
            if !OSV_PROVIDES.iter().any(|known| name.starts_with(known)) {
                // OSv looks there.
                put(&mut tree, &Path::new("/usr/lib").join(&*name), read(&library)?, true)?;
            }
        }
    }
    for path in &native.include {
        include(&mut tree, Path::new(path.as_str()))?;
    }
    Ok(tree)
}

/// The root file system in a folder.
///
/// # Errors
/// [`DeployError`] for a file that cannot be read.
pub(crate) fn of_folder(folder: &Path) -> Result<Tree, DeployError> {
    let mut tree = Tree::default();
    add_folder(&mut tree, folder, "")?;
    for dir in ["/dev", "/proc", "/sys", "/tmp", "/run"] {
        tree.dir(dir).map_err(tree_error)?;
    }
    Ok(tree)
}

/// The libraries of a program, by its loader.
fn libraries(loader: &Path, program: &Path) -> Result<Vec<PathBuf>, DeployError> {
    let output = Command::new(loader).arg("--list").arg(program).env_clear().output();
    let output = output.map_err(|source| DeployError::Io {
        what: format!(
            "running {} to find the libraries of {}",
            loader.display(),
            program.display()
        ),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).map_err(|library| DeployError::Unmet {
        need: format!(
            "the program {} needs the library {library}, which is not installed",
            program.display()
        ),
        remedy: "install it on this host".into(),
    })
}

/// The paths in a loader's list: `name => /path (address)` or `/path (address)`. The error is a library that was not found.
fn parse(list: &str) -> Result<Vec<PathBuf>, String> {
    let mut libraries = Vec::new();
    for line in list.lines() {
        let text = line.trim().split(" (0x").next().unwrap_or_default();
        let path = match text.split_once(" => ") {
            Some((name, found)) if !found.starts_with('/') => return Err(name.to_owned()),
            Some((_, path)) => path,
            None => text,
        };
        // The kernel's own library has no path.
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

/// Links to a library from folders in which every loader looks, if it is elsewhere: this host's cache of libraries is not in the root.
fn add_links(tree: &mut Tree, library: &Path) -> Result<(), DeployError> {
    let is_default = library
        .parent()
        .is_some_and(|folder| DEFAULT_FOLDERS.iter().any(|default| Path::new(default) == folder));
    let Some(name) = library.file_name().and_then(OsStr::to_str).filter(|_| !is_default) else {
        return Ok(());
    };
    for folder in ["/lib", "/lib64"] {
        match tree.link(&format!("{folder}/{name}"), &library.to_string_lossy()) {
            Ok(()) | Err(TreeError::Taken(_)) => {}
            Err(error) => return Err(tree_error(error)),
        }
    }
    Ok(())
}

/// Adds a file of this host at its path, unless it is there.
fn add(tree: &mut Tree, path: &Path) -> Result<(), DeployError> {
    put(tree, path, read(path)?, true)
}

fn put(tree: &mut Tree, path: &Path, bytes: Vec<u8>, executable: bool) -> Result<(), DeployError> {
    match tree.file(&path.to_string_lossy(), bytes, executable) {
        // The loader is in its own list.
        Ok(()) | Err(TreeError::Taken(_)) => Ok(()),
        Err(error) => Err(tree_error(error)),
    }
}

/// Adds a file or a folder of this host at its path.
fn include(tree: &mut Tree, path: &Path) -> Result<(), DeployError> {
    let is_dir = fs::metadata(path).map_err(|source| DeployError::Io {
        what: format!("reading {}, which the description includes", path.display()),
        source,
    });
    if is_dir?.is_dir() {
        add_folder(tree, path, &path.to_string_lossy())
    } else {
        put(tree, path, read(path)?, is_executable(path))
    }
}

/// Adds a folder of this host with everything below it at another path; links in it stay links. Devices and sockets are left out.
///
/// # Errors
/// [`DeployError`] for a file that cannot be read.
pub(crate) fn add_folder(tree: &mut Tree, folder: &Path, inside: &str) -> Result<(), DeployError> {
    let failed = |source| DeployError::Io {
        what: format!("reading {} for the root of the service", folder.display()),
        source,
    };
    if !inside.is_empty() {
        tree.dir(inside).map_err(tree_error)?;
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, inside) = (
            entry.path(),
            format!("{inside}/{}", entry.file_name().to_string_lossy()),
        );
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(failed)?;
            match tree.link(&inside, &target.to_string_lossy()) {
                Ok(()) | Err(TreeError::Taken(_)) => {}
                Err(error) => return Err(tree_error(error)),
            }
        } else if kind.is_dir() {
            add_folder(tree, &path, &inside)?;
        } else if kind.is_file() {
            put(tree, Path::new(&inside), read(&path)?, is_executable(&path))?;
        }
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// The users that the program can look up: root, nobody, and the one that it runs as, with its number on this host.
fn add_users(tree: &mut Tree, native: &NativeForm) -> Result<(), DeployError> {
    let mut users = vec![("root".to_owned(), 0, 0), ("nobody".to_owned(), 65_534, 65_534)];
    let own = native
        .user
        .as_ref()
        .and_then(|name| User::from_name(name.as_str()).ok().flatten());
    if let Some(user) = own.filter(|user| users.iter().all(|(name, ..)| *name != user.name)) {
        users.push((user.name, user.uid.as_raw(), user.gid.as_raw()));
    }
    let passwd: String = users
        .iter()
        .map(|(name, uid, gid)| format!("{name}:x:{uid}:{gid}::/:/\n"))
        .collect();
    let group: String = users
        .iter()
        .map(|(name, _, gid)| format!("{name}:x:{gid}:\n"))
        .collect();
    for (path, text) in [
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        (
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\n".to_owned(),
        ),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n".to_owned()),
    ] {
        put(tree, Path::new(path), text.into_bytes(), false)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, DeployError> {
    fs::read(path).map_err(|source| DeployError::Io {
        what: format!("reading {} for the root of the service", path.display()),
        source,
    })
}

fn tree_error(error: TreeError) -> DeployError {
    DeployError::Platform {
        platform: "root of the service",
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::guest::directory;

    fn described(native: &str) -> Described {
        let text = format!("[native]\n{native}\n[ready]\nkind = 'started'\n");
        let description = protocol::description::parse("x", &text).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        Described::new(description, values, None, 0).unwrap()
    }

    #[test]
    fn the_list_of_a_loader_is_parsed() {
        let list = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibz.so.1 => /lib/x/libz.so.1 (0x00007f7f)\n\t/lib64/ld.so.2 (0x00007f7f)\n\tstatically linked\n";
        assert_eq!(
            parse(list).unwrap(),
            [Path::new("/lib/x/libz.so.1"), Path::new("/lib64/ld.so.2")]
        );
        assert_eq!(parse("\tlibx.so => not found\n").unwrap_err(), "libx.so");
    }

    #[test]
    fn a_program_runs_in_a_root_that_has_nothing_else() {
        let tree = of_program(&described(
            "program = '/usr/bin/env'\ninclude = ['/etc/hostname', '/etc/default']",
        ))
        .unwrap();
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        directory::write(&tree, &root).unwrap();
        for path in ["usr/bin/env", "etc/passwd", "etc/hostname", "proc", "service"] {
            assert!(root.join(path).exists(), "{path}");
        }
        if nix::unistd::geteuid().is_root() {
            let output = Command::new("chroot")
                .arg(&root)
                .args(["/usr/bin/env", "A=b"])
                .output()
                .unwrap();
            assert!(String::from_utf8_lossy(&output.stdout).contains("A=b"), "{output:?}");
        }
    }

    #[test]
    fn a_script_and_a_missing_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = of_program(&described(&format!("program = '{}'", script.display()))).unwrap_err();
        assert!(
            error.to_string().contains("is a script") && error.to_string().contains("[container] image"),
            "{error}"
        );
        let error = of_program(&described("program = '/usr/bin/env'\ninclude = ['/nowhere']")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("reading /nowhere, which the description includes"),
            "{error}"
        );
    }
}
