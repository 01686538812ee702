//! Described services in guests whose image is built: what is put into it, and how `guest-init` is told to start it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use protocol::spec::Values;

use super::image::image_error;
use crate::DeployError;
use crate::guest::osv::program;
use crate::guest::tree::Tree;
use crate::service::{Described, Service, ServiceDir, fill_all, root};

/// Where `guest-init` finds what to start.
const EXEC: &str = "/etc/jung/service";

/// The root of a Linux guest with a described service, its files, and what `guest-init` starts. `scratch`: where the files are written meanwhile.
///
/// # Errors
/// [`DeployError`] for a program or a file that cannot be put into the image.
pub(super) fn linux(service: &Service, described: &Described, scratch: &Path) -> Result<Tree, DeployError> {
    let form = described.description().guest.as_ref();
    let mut tree = match form.and_then(|form| form.root.as_ref()) {
        Some(root) => root::of_folder(&described.beside(root)?)?,
        None => root::of_program(described)?,
    };
    let values = values(service, described);
    add_service_files(&mut tree, described, &values, scratch)?;
    let exec = exec(described, &values)?;
    tree.file(EXEC, exec, false).map_err(image_error)?;
    Ok(tree)
}

/// The root of an OSv guest with the program of a described service at the place of the workload program, the libraries that OSv does not have, and the
/// service's files.
///
/// # Errors
/// [`DeployError`]; also for an environment, which OSv's command line here does not set.
pub(super) fn osv(service: &Service, described: &Described, scratch: &Path) -> Result<Tree, DeployError> {
    let native = described.native()?;
    if let Some(name) = native.env.keys().next() {
        return Err(DeployError::Unmet {
            need: format!("the environment variable {name} cannot be set in an OSv guest"),
            remedy: "leave the platform out, or the variable".into(),
        });
    }
    let mut tree = root::libraries_for_osv(described)?;
    let path = described.program(&native.program)?;
    let bytes = std::fs::read(&path).map_err(|source| DeployError::Io {
        what: format!("reading {} for the guest's image", path.display()),
        source,
    })?;
    tree.file("/workload", program::for_osv(bytes), true)
        .map_err(image_error)?;
    let values = values(service, described);
    add_service_files(&mut tree, described, &values, scratch)?;
    Ok(tree)
}

/// The arguments of a described service for a guest that gets them at its start. `address`: the guest's.
///
/// # Errors
/// A placeholder without a value.
pub(super) fn args(service: &Service, described: &Described, address: Ipv4Addr) -> Result<Vec<String>, DeployError> {
    if described.task().is_some() {
        return Err(DeployError::Unmet {
            need: "a task needs a guest whose image is built with its program".into(),
            remedy: "remove the image from the guest's description, or leave this platform out".into(),
        });
    }
    let listen = service.port.map(|port| SocketAddr::from((address, port)));
    let values = described.values(service.name.as_str(), listen, Path::new(root::DIR));
    args_of(described, &values)
}

fn args_of(described: &Described, values: &Values) -> Result<Vec<String>, DeployError> {
    let description = described.description();
    let own = description.guest.as_ref().and_then(|guest| guest.args.as_ref());
    let native = description.native.as_ref().map(|native| &native.args);
    own.or(native)
        .map_or_else(|| Ok(Vec::new()), |args| fill_all(args, values))
}

/// The values in an image: the guest's address is not known yet, so the service listens on all.
fn values(service: &Service, described: &Described) -> Values {
    let listen = service.port.map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    described.values(service.name.as_str(), listen, Path::new(root::DIR))
}

/// What `guest-init` starts, separated by NUL: program, directory, user, group, the number of arguments, the arguments, the environment.
fn exec(described: &Described, values: &Values) -> Result<Vec<u8>, DeployError> {
    let description = described.description();
    let form = description.guest.as_ref();
    let inside = form
        .and_then(|form| form.program.as_ref())
        .map(|path| PathBuf::from(path.as_str()));
    let (mut directory, mut env, mut user) = (PathBuf::from(root::DIR), Vec::new(), (0, 0));
    let native_program = match (&inside, &description.native) {
        (Some(_), None) => None,
        _ => {
            let launchable = described.launchable(values, Path::new(root::DIR))?;
            (directory, env) = (launchable.directory, launchable.env);
            user = described
                .host_user()?
                .map_or(user, |user| (user.uid.as_raw(), user.gid.as_raw()));
            Some(described.program(&described.native()?.program)?)
        }
    };
    let program = inside.or(native_program).unwrap_or_default();
    let args = args_of(described, values)?;
    let (program, args) = described.started(program, args, (values, Path::new(root::DIR)))?;
    let mut fields = vec![
        program.display().to_string(),
        directory.display().to_string(),
        user.0.to_string(),
        user.1.to_string(),
        args.len().to_string(),
    ];
    fields.extend(args);
    fields.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    Ok(fields.join("\0").into_bytes())
}

/// Adds the service's files, which are written as for other platforms and read back.
fn add_service_files(
    tree: &mut Tree,
    described: &Described,
    values: &Values,
    scratch: &Path,
) -> Result<(), DeployError> {
    let dir = ServiceDir::create(scratch.to_owned(), described, values, None)?;
    root::add_folder(tree, dir.path(), root::DIR)?;
    dir.remove().map_or(Ok(()), |left| {
        Err(DeployError::Platform {
            platform: "guest image",
            message: left,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::guest::tree::Node;

    fn service(text: &str, folder: Option<PathBuf>) -> (Service, Described) {
        let description = protocol::description::parse("x", text).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        let described = Described::new(description, values, folder, 1 << 20).unwrap();
        (Service::described("web".parse().unwrap(), described.clone()), described)
    }

    fn file(tree: &Tree, path: &str) -> Vec<u8> {
        let mut entries = tree.root();
        let parts: Vec<&str> = path.split('/').collect();
        let (name, parents) = parts.split_last().unwrap();
        for parent in parents {
            match &entries[*parent] {
                Node::Dir(below) => entries = below,
                other => panic!("{parent}: {other:?}"),
            }
        }
        match &entries[*name] {
            Node::File(file) => file.bytes.clone(),
            other => panic!("{name}: {other:?}"),
        }
    }

    const TEXT: &str = "parameters = { port = 80 }\n[[file]]\npath = 'a/b'\ncontents = '{listen}'\n\
                        [native]\nprogram = '/usr/bin/env'\nargs = ['{port}', 'a b']\nenv = { A = '{dir}' }\n";

    #[test]
    fn a_linux_guest_has_the_program_its_files_and_what_is_started() {
        let state = tempfile::tempdir().unwrap();
        let scratch = state.path().join("scratch");
        let (web, described) = service(TEXT, None);
        let tree = linux(&web, &described, &scratch).unwrap();
        assert!(!file(&tree, "usr/bin/env").is_empty());
        assert_eq!(file(&tree, "service/a/b"), b"0.0.0.0:80");
        let exec = String::from_utf8(file(&tree, "etc/jung/service")).unwrap();
        let fields: Vec<&str> = exec.split('\0').collect();
        assert_eq!(
            fields,
            ["/usr/bin/env", "/service", "0", "0", "2", "80", "a b", "A=/service"]
        );
        assert!(!scratch.exists());
    }

    #[test]
    fn a_root_file_system_of_the_description_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root/bin")).unwrap();
        std::fs::write(folder.path().join("root/bin/server"), "x").unwrap();
        let text = "[guest]\nroot = 'root'\nprogram = '/bin/server'\nargs = ['-v']\n[ready]\nkind = 'started'\n";
        let (web, described) = service(text, Some(folder.path().to_owned()));
        let tree = linux(&web, &described, &folder.path().join("scratch")).unwrap();
        assert_eq!(file(&tree, "bin/server"), b"x");
        let exec = String::from_utf8(file(&tree, "etc/jung/service")).unwrap();
        assert!(
            exec.starts_with("/bin/server\x00/service\x000\x000\x001\x00-v"),
            "{exec:?}"
        );
    }

    #[test]
    fn an_osv_guest_has_no_libraries_of_the_c_library() {
        let state = tempfile::tempdir().unwrap();
        let (web, described) = service(&TEXT.replace("env = { A = '{dir}' }\n", ""), None);
        let tree = osv(&web, &described, &state.path().join("scratch")).unwrap();
        assert!(!file(&tree, "workload").is_empty());
        assert_eq!(file(&tree, "service/a/b"), b"0.0.0.0:80");
        assert!(
            !format!("{:?}", tree.root().keys()).contains("lib64"),
            "{:?}",
            tree.root().keys()
        );
        let (web, described) = service(TEXT, None);
        let error = osv(&web, &described, &state.path().join("scratch")).unwrap_err();
        assert!(error.to_string().contains("the environment variable A"), "{error}");
    }
}
