//! The images that are built for guests from the workload program or a described service, once for the same contents.
//!
//! They are in `<state>/guests/images` under the hash of their contents, so another workload gets another image, and an old image is never mistaken for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::DeployError;
use crate::guest::directory;
use crate::guest::linux::seed::PROGRAM_LABEL;
use crate::guest::linux::{fat, initramfs, modules};
use crate::guest::multiboot;
use crate::guest::osv::{disk, program, rofs};
use crate::guest::tree::{Device, Tree};
use crate::guest::{CloudImage, CloudStart, Guest, Image, InitramfsImage};
use crate::service::{Described, Service};

use super::described;

/// What OSv mounts on the empty directories of its root.
const FSTAB: &str = "none /dev devfs defaults 0 0\nnone /proc procfs defaults 0 0\nnone /sys sysfs defaults 0 0\nnone /tmp ramfs defaults 0 0\n";

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BuiltImage {
    /// None is needed.
    Nothing,
    /// An initramfs, for `-initrd`.
    Initramfs(PathBuf),
    /// A directory that the guest mounts as its root.
    Root(PathBuf),
    /// A read-only raw disk: the first that the guest has, from which it boots.
    Disk(PathBuf),
    /// A read-only raw disk with the workload program, for a guest that boots from another disk.
    Program(PathBuf),
}

/// What a guest runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    /// The workload program.
    pub(super) workload: &'a Path,
    /// A described service instead of it, and where its files are written meanwhile.
    pub(super) described: Option<(&'a Service, &'a Described, &'a Path)>,
}

/// Builds a guest's image unless it exists.
///
/// # Errors
/// [`DeployError`] with the file that is missing or does not fit, or a described service that the guest cannot run.
pub(super) fn build(guest: &Guest, payload: Payload<'_>, state: &Path) -> Result<BuiltImage, DeployError> {
    let workload = payload.workload;
    match &guest.image {
        Image::None => match payload.described {
            Some((service, described, _)) if described.description().guest.is_none() => Err(DeployError::Unmet {
                need: format!("the guest's image is not built, so service {} must be part of it", service.name),
                remedy: "add [guest] to the description of a service that is in the image, or use a guest whose image is built (initramfs, rofs)".into(),
            }),
            _ => Ok(BuiltImage::Nothing),
        },
        Image::Cloud(_) if payload.described.is_some() => Err(DeployError::Unmet {
            need: "a described service cannot be put into a guest with image = \"cloud\"".into(),
            remedy: "use a guest with an initramfs (preset = \"linux\")".into(),
        }),
        Image::Initramfs(image) => {
            let tree = linux_tree(guest, image, payload)?;
            let bytes = initramfs::write(&tree).map_err(image_error)?;
            store(state, "initramfs", "cpio", &bytes).map(BuiltImage::Initramfs)
        }
        Image::Cloud(CloudImage { start: CloudStart::Ssh }) => Ok(BuiltImage::Nothing),
        Image::Cloud(_) => {
            let mut tree = Tree::default();
            add_program_and_files(&mut tree, guest, read_workload(workload)?)?;
            let bytes = fat::write(PROGRAM_LABEL, &tree).map_err(image_error)?;
            store(state, "program", "raw", &bytes).map(BuiltImage::Program)
        }
        Image::Rofs(_) => {
            let tree = osv_tree(guest, payload)?;
            let file_system = rofs::write(&tree).map_err(image_error)?;
            let bytes = disk::with_partition(&file_system).map_err(image_error)?;
            store(state, "rofs", "raw", &bytes).map(BuiltImage::Disk)
        }
        Image::Virtiofs(_) => store_dir(state, &osv_tree(guest, payload)?).map(BuiltImage::Root),
    }
}

/// The kernel to boot: the described one, or a form of it that QEMU accepts.
///
/// # Errors
/// [`DeployError`] if there is no such form.
pub(super) fn kernel(described: &Path, bytes: &[u8], state: &Path) -> Result<PathBuf, DeployError> {
    let refused = |error| {
        image_error(format!(
            "QEMU does not accept the kernel {}: {error}",
            described.display()
        ))
    };
    match multiboot::wrap(bytes).map_err(refused)? {
        Some(wrapped) => store(state, "kernel", "elf32", &wrapped),
        None => Ok(described.to_owned()),
    }
}

/// `guest-init`, the workload or a described service, the modules (numbered to keep their order), and the console that the kernel opens for the first
/// process.
fn linux_tree(guest: &Guest, image: &InitramfsImage, payload: Payload<'_>) -> Result<Tree, DeployError> {
    let mut tree = Tree::default();
    let default = || payload.workload.with_file_name("guest-init");
    let init = image.init.clone().unwrap_or_else(default);
    let remedy = "build it with deploy/linux/build-init.sh, or set `init` in the guest's description";
    match payload.described {
        Some((service, described, scratch)) => {
            tree = described::linux(service, described, scratch)?;
            add_files(&mut tree, guest)?;
        }
        None => add_program_and_files(&mut tree, guest, read_workload(payload.workload)?)?,
    }
    tree.file("/init", read(&init, remedy)?, true).map_err(image_error)?;
    let loaded = modules::in_order(&image.modules, &image.load).map_err(image_error)?;
    for (number, (name, bytes)) in loaded.into_iter().enumerate() {
        tree.file(&format!("/modules/{number:02}-{name}.ko"), bytes, false)
            .map_err(image_error)?;
    }
    tree.device("/dev/console", Device { major: 5, minor: 1 })
        .map_err(image_error)?;
    Ok(tree)
}

fn osv_tree(guest: &Guest, payload: Payload<'_>) -> Result<Tree, DeployError> {
    let mut tree = Tree::default();
    match payload.described {
        Some((service, described, scratch)) => {
            tree = described::osv(service, described, scratch)?;
            add_files(&mut tree, guest)?;
        }
        None => {
            let program = program::for_osv(read_workload(payload.workload)?);
            add_program_and_files(&mut tree, guest, program)?;
        }
    }
    for dir in ["/dev", "/proc", "/sys", "/tmp"] {
        tree.dir(dir).map_err(image_error)?;
    }
    tree.link("/etc/mnttab", "/proc/mounts").map_err(image_error)?;
    tree.file("/etc/fstab", FSTAB.into(), false).map_err(image_error)?;
    tree.file("/etc/hosts", b"127.0.0.1 localhost\n".to_vec(), false)
        .map_err(image_error)?;
    Ok(tree)
}

fn read_workload(path: &Path) -> Result<Vec<u8>, DeployError> {
    read(path, "build it with deploy/build-workload.sh")
}

fn add_program_and_files(tree: &mut Tree, guest: &Guest, program: Vec<u8>) -> Result<(), DeployError> {
    tree.file("/workload", program, true).map_err(image_error)?;
    add_files(tree, guest)
}

/// The files that the guest's description adds.
fn add_files(tree: &mut Tree, guest: &Guest) -> Result<(), DeployError> {
    for (inside, outside) in &guest.files {
        let bytes = read(outside, "correct `files` in the guest's description")?;
        tree.file(inside, bytes, true).map_err(image_error)?;
    }
    Ok(())
}

fn read(path: &Path, remedy: &str) -> Result<Vec<u8>, DeployError> {
    fs::read(path).map_err(|error| DeployError::Unmet {
        need: format!("reading {} for the guest's image: {error}", path.display()),
        remedy: remedy.into(),
    })
}

pub(super) fn image_error(error: impl std::fmt::Display) -> DeployError {
    DeployError::Platform {
        platform: "guest image",
        message: error.to_string(),
    }
}

/// Writes an image under the name of its hash, completely or not at all.
fn store(state: &Path, kind: &str, extension: &str, bytes: &[u8]) -> Result<PathBuf, DeployError> {
    let name = format!("{kind}-{}.{extension}", &hex(bytes)[..16]);
    let exists = |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() == bytes.len() as u64);
    store_as(state, &name, exists, |new| fs::write(new, bytes))
}

/// Writes a tree as a directory under the name of its hash, completely or not at all. virtiofsd sees it read-only, so it never changes.
fn store_dir(state: &Path, tree: &Tree) -> Result<PathBuf, DeployError> {
    let contents = initramfs::write(tree).map_err(image_error)?;
    let name = format!("root-{}", &hex(&contents)[..16]);
    store_as(state, &name, Path::is_dir, |new| {
        // One of this name was left by a crashed runner with our PID.
        let _ = fs::remove_dir_all(new);
        directory::write(tree, new)
    })
}

/// Creates something under a temporary name and renames it, unless it exists.
fn store_as(
    state: &Path,
    name: &str,
    exists: impl Fn(&Path) -> bool,
    write_new: impl Fn(&Path) -> io::Result<()>,
) -> Result<PathBuf, DeployError> {
    let dir = state.join("guests/images");
    let path = dir.join(name);
    let write = || -> io::Result<()> {
        if exists(&path) {
            return Ok(());
        }
        fs::create_dir_all(&dir)?;
        let new = dir.join(format!(".{name}.{}", std::process::id()));
        write_new(&new)?;
        fs::rename(&new, &path)
    };
    write().map_err(|source| DeployError::Io {
        what: format!("writing the image {}", path.display()),
        source,
    })?;
    std::path::absolute(&path).map_err(|source| DeployError::Io {
        what: format!("finding {}", path.display()),
        source,
    })
}

/// SHA-256, in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(guest: &Guest, workload: &Path, state: &Path) -> Result<BuiltImage, DeployError> {
        let payload = Payload {
            workload,
            described: None,
        };
        super::build(guest, payload, state)
    }

    fn guest(text: &str) -> Guest {
        Guest::parse(Path::new("x.toml"), text).unwrap()
    }

    #[test]
    fn an_image_is_built_once_and_again_for_another_workload() {
        let dir = tempfile::tempdir().unwrap();
        let workload = dir.path().join("workload");
        let guest = guest("preset = 'osv'\nkernel = '/k'");
        fs::write(&workload, "one").unwrap();
        let BuiltImage::Disk(first) = build(&guest, &workload, dir.path()).unwrap() else {
            panic!("OSv has a disk")
        };
        assert_eq!(
            build(&guest, &workload, dir.path()).unwrap(),
            BuiltImage::Disk(first.clone())
        );
        fs::write(&workload, "two").unwrap();
        assert_ne!(build(&guest, &workload, dir.path()).unwrap(), BuiltImage::Disk(first));
        assert_eq!(fs::read_dir(dir.path().join("guests/images")).unwrap().count(), 2);
    }

    #[test]
    fn a_shared_root_is_built_once_and_again_for_another_workload() {
        let dir = tempfile::tempdir().unwrap();
        let workload = dir.path().join("workload");
        let guest = guest("preset = 'osv-virtiofs'\nkernel = '/k'");
        let built = |contents: &str| {
            fs::write(&workload, contents).unwrap();
            match build(&guest, &workload, dir.path()).unwrap() {
                BuiltImage::Root(root) => root,
                other => panic!("{other:?}"),
            }
        };
        let first = built("one");
        assert_eq!(fs::read(first.join("workload")).unwrap(), b"one");
        assert!(
            fs::read_to_string(first.join("etc/fstab"))
                .unwrap()
                .contains("/dev devfs")
        );
        assert_eq!(built("one"), first);
        assert_ne!(built("two"), first);
        assert_eq!(fs::read_dir(dir.path().join("guests/images")).unwrap().count(), 2);
    }

    #[test]
    fn a_missing_init_comes_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let workload = dir.path().join("workload");
        fs::write(&workload, "one").unwrap();
        let modules = dir.path().display();
        let guest = guest(&format!("preset = 'linux'\nkernel = '/k'\nmodules = '{modules}'"));
        let error = build(&guest, &workload, dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("guest-init") && error.contains("build-init.sh"),
            "{error}"
        );
    }
}
