//! The images of described services: pulled, loaded, built of a folder, or built of a program.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder, ImportImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use protocol::facts::ImageRecord;
use protocol::spec::{ImageSource, NamedImage, Pull};
use sha2::{Digest as _, Sha256};

use super::engine::{engine_error, is_missing};
use crate::DeployError;
use crate::guest::tree::{Node, Tree};
use crate::service::{Described, root};

/// The repository of images that are built here.
const REPOSITORY: &str = "jung-service";
/// The file of an archive that lists its images.
const MANIFEST: &str = "manifest.json";
/// The longest list, bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// Pieces of an archive that is sent to the engine, bytes.
const PIECE: usize = 1 << 20;

/// The image of a described service that the engine has.
#[derive(Clone, Debug)]
pub(super) struct Ensured {
    /// What it is.
    pub(super) record: ImageRecord,
    /// What it starts by itself.
    pub(super) command: Command,
}

/// What an image starts by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    pub(super) entrypoint: Vec<String>,
    pub(super) args: Vec<String>,
}

/// The image of a described service, which the engine has afterwards; and its reference.
///
/// # Errors
/// [`DeployError`] with what is missing, or the engine's message.
pub(super) async fn ensure(docker: &bollard::Docker, described: &Described) -> Result<(String, Ensured), DeployError> {
    let reference = match described.image_source() {
        ImageSource::Named(image) => named(docker, image).await?,
        ImageSource::Archive(archive) => load(docker, &described.beside(archive)?).await?,
        ImageSource::Folder(folder) => {
            let folder = described.beside(folder)?;
            let context = blocking(move || of_folder(&folder)).await?;
            build(docker, context).await?
        }
        ImageSource::Program(_) => {
            let described = described.clone();
            let context = blocking(move || of_tree(&root::of_program(&described)?)).await?;
            build(docker, context).await?
        }
    };
    let found = inspect(docker, &reference).await?;
    let found = found.ok_or_else(|| failed(&format!("the engine does not have {reference}, which it should")))?;
    check_architecture(&found)?;
    Ok((reference, found.image))
}

/// An image of the engine.
struct Found {
    image: Ensured,
    architecture: Option<String>,
}

/// An image by its reference; `None`: the engine does not have it.
async fn inspect(docker: &bollard::Docker, reference: &str) -> Result<Option<Found>, DeployError> {
    match docker.inspect_image(reference).await {
        Ok(image) => {
            let config = image.config.unwrap_or_default();
            Ok(Some(Found {
                image: Ensured {
                    record: ImageRecord {
                        name: reference.to_owned(),
                        id: image.id.unwrap_or_default(),
                        digests: image.repo_digests.unwrap_or_default(),
                    },
                    command: Command {
                        entrypoint: config.entrypoint.unwrap_or_default(),
                        args: config.cmd.unwrap_or_default(),
                    },
                },
                architecture: image.architecture,
            }))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(engine_error(&error)),
    }
}

/// Refuses an image for other machines: the engine starts it all the same, and it ends at once.
fn check_architecture(image: &Found) -> Result<(), DeployError> {
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    match image
        .architecture
        .as_deref()
        .filter(|image| !image.is_empty() && *image != own)
    {
        None => Ok(()),
        Some(other) => Err(DeployError::Unmet {
            need: format!(
                "image {} is for {other}, and this host is {own}",
                image.image.record.name
            ),
            remedy: format!("use an image for {own}"),
        }),
    }
}

async fn named(docker: &bollard::Docker, image: &NamedImage) -> Result<String, DeployError> {
    let (name, reference) = image.name.split();
    let separator = if image.name.is_pinned() { '@' } else { ':' };
    let whole = format!("{name}{separator}{reference}");
    let is_there = inspect(docker, &whole).await?.is_some();
    match (image.pull, is_there) {
        (Pull::Never, true) | (Pull::Missing, true) => Ok(whole),
        (Pull::Never, false) => Err(DeployError::ImageMissing {
            image: whole.clone(),
            remedy: format!("run `docker pull {whole}` on the target host, or remove pull = \"never\""),
        }),
        (Pull::Always, _) | (Pull::Missing, false) => {
            pull(docker, name, reference, &whole).await?;
            Ok(whole)
        }
    }
}

/// Pulls an image. Dropping the future ends it.
async fn pull(docker: &bollard::Docker, name: &str, reference: &str, whole: &str) -> Result<(), DeployError> {
    let options = CreateImageOptionsBuilder::new().from_image(name).tag(reference).build();
    let mut output = docker.create_image(Some(options), None, None);
    while let Some(step) = output.next().await {
        if let Err(error) = step {
            return Err(DeployError::ImageMissing {
                image: whole.to_owned(),
                remedy: format!(
                    "pulling it failed ({}): check the name and that the target host reaches the registry",
                    engine_error(&error)
                ),
            });
        }
    }
    Ok(())
}

/// Loads an archive unless the engine has its image. Returns the image's id.
async fn load(docker: &bollard::Docker, archive: &Path) -> Result<String, DeployError> {
    let path = archive.to_owned();
    let id = blocking(move || image_id(&path)).await?;
    if inspect(docker, &id).await?.is_some() {
        return Ok(id);
    }
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let body = bollard::body_try_stream(pieces(archive.to_owned()));
    let mut output = docker.import_image(options, body, None);
    while let Some(step) = output.next().await {
        step.map_err(|error| engine_error(&error))?;
    }
    Ok(id)
}

/// The id of the only image in an archive of `docker save`: the hash of its configuration, which its list names.
fn image_id(archive: &Path) -> Result<String, DeployError> {
    #[derive(serde::Deserialize)]
    struct Listed {
        #[serde(rename = "Config")]
        config: String,
    }
    let io = |source| DeployError::Io {
        what: format!("reading the image archive {}", archive.display()),
        source,
    };
    let refused = |why: &str| DeployError::Unmet {
        need: format!("{} is not an archive of one image: {why}", archive.display()),
        remedy: "write it by `docker save -o FILE IMAGE`, not compressed".into(),
    };
    let mut tar = tar::Archive::new(std::fs::File::open(archive).map_err(io)?);
    let mut list = Vec::new();
    for entry in tar.entries().map_err(io)? {
        let entry = entry.map_err(|error| refused(&error.to_string()))?;
        if entry.path().is_ok_and(|path| path == Path::new(MANIFEST)) {
            entry.take(MAX_MANIFEST).read_to_end(&mut list).map_err(io)?;
            break;
        }
    }
    if list.is_empty() {
        return Err(refused(&format!("it has no {MANIFEST}")));
    }
    let listed: Vec<Listed> = serde_json::from_slice(&list).map_err(|error| refused(&error.to_string()))?;
    let [only] = listed.as_slice() else {
        return Err(refused(&format!("it has {} images", listed.len())));
    };
    // `HASH.json`, or `blobs/sha256/HASH` in newer archives.
    let file = only.config.rsplit('/').next().unwrap_or_default();
    let hash = file.strip_suffix(".json").unwrap_or(file);
    let is_hash = hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
    is_hash
        .then(|| format!("sha256:{hash}"))
        .ok_or_else(|| refused(&format!("its configuration is {:?}", only.config)))
}

/// A file in pieces.
fn pieces(path: PathBuf) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let open = futures_util::stream::once(async move { tokio::fs::File::open(path).await });
    open.flat_map(|file| {
        let (file, error) = match file {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(Err(error))),
        };
        let read = futures_util::stream::try_unfold(file, |file| async move {
            let Some(mut file) = file else { return Ok(None) };
            let mut piece = vec![0; PIECE];
            let length = tokio::io::AsyncReadExt::read(&mut file, &mut piece).await?;
            piece.truncate(length);
            Ok((length > 0).then(|| (Bytes::from(piece), Some(file))))
        });
        futures_util::stream::iter(error).chain(read)
    })
}

/// What an image is built of: a build context, and the hash of its contents.
struct Context {
    tar: Vec<u8>,
    hash: String,
}

impl Context {
    fn new(tar: Vec<u8>) -> Self {
        let hash = Sha256::digest(&tar).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { tar, hash }
    }
}

/// Builds an image unless it was built before. Returns its name.
async fn build(docker: &bollard::Docker, context: Context) -> Result<String, DeployError> {
    let name = format!("{REPOSITORY}:{}", &context.hash[..16]);
    if inspect(docker, &name).await?.is_some() {
        return Ok(name);
    }
    let options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .t(&name)
        .rm(true)
        .forcerm(true)
        .build();
    let mut output = docker.build_image(options, None, Some(bollard::body_full(context.tar.into())));
    while let Some(step) = output.next().await {
        let step = step.map_err(|error| engine_error(&error))?;
        if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
            return Err(failed(&format!("building {name}: {message}")));
        }
    }
    Ok(name)
}

/// The whole Dockerfile of a root file system.
const DOCKERFILE: &str = "FROM scratch\nADD root.tar /\n";

/// A folder with a Dockerfile as it is, or a root file system.
fn of_folder(folder: &Path) -> Result<Context, DeployError> {
    let io = |source| DeployError::Io {
        what: format!("reading the folder {} for an image", folder.display()),
        source,
    };
    if !folder.is_dir() {
        return Err(io(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    // Without the times and owners of this machine.
    tar.mode(tar::HeaderMode::Deterministic);
    append_folder(&mut tar, folder, Path::new(".")).map_err(io)?;
    let tar = tar.into_inner().map_err(io)?;
    if folder.join("Dockerfile").is_file() {
        return Ok(Context::new(tar));
    }
    of_root(&tar).map_err(io)
}

/// Adds what is in a folder, sorted by name, so that equal folders make equal contexts.
fn append_folder(tar: &mut tar::Builder<Vec<u8>>, folder: &Path, inside: &Path) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, inside) = (entry.path(), inside.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            tar.append_dir(&inside, &path)?;
            append_folder(tar, &path, &inside)?;
        } else {
            tar.append_path_with_name(&path, &inside)?;
        }
    }
    Ok(())
}

/// A root file system, as a tar in a build context.
fn of_root(root: &[u8]) -> io::Result<Context> {
    let mut tar = tar::Builder::new(Vec::with_capacity(root.len() + 4096));
    for (path, bytes) in [("Dockerfile", DOCKERFILE.as_bytes()), ("root.tar", root)] {
        let mut header = header(bytes.len(), 0o644);
        tar.append_data(&mut header, path, bytes)?;
    }
    tar.into_inner().map(Context::new)
}

fn of_tree(tree: &Tree) -> Result<Context, DeployError> {
    let mut tar = tar::Builder::new(Vec::new());
    let written = append(&mut tar, "", tree.root()).and_then(|()| of_root(&tar.into_inner()?));
    written.map_err(|source| DeployError::Io {
        what: "writing the root of an image".into(),
        source,
    })
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    parent: &str,
    entries: &std::collections::BTreeMap<String, Node>,
) -> io::Result<()> {
    for (name, node) in entries {
        let path = format!("{parent}{name}");
        match node {
            Node::Dir(below) => {
                let mut header = header(0, 0o755);
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), io::empty())?;
                append(tar, &format!("{path}/"), below)?;
            }
            Node::File(file) => {
                let mode = if file.executable { 0o755 } else { 0o644 };
                tar.append_data(&mut header(file.bytes.len(), mode), &path, file.bytes.as_slice())?;
            }
            Node::Link(target) => {
                let mut header = header(0, 0o777);
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, &path, target)?;
            }
            // The engine makes its own.
            Node::Device(_) => {}
        }
    }
    Ok(())
}

fn header(length: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(length as u64);
    header.set_mode(mode);
    header.set_cksum();
    header
}

fn failed(message: &str) -> DeployError {
    DeployError::Platform {
        platform: "docker",
        message: message.to_owned(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(failed(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            tar.append_data(&mut header(text.len(), 0o644), path, text.as_bytes())
                .unwrap();
        }
        std::fs::write(file.path(), tar.into_inner().unwrap()).unwrap();
        file
    }

    #[test]
    fn the_id_of_an_archive_is_the_hash_of_its_configuration() {
        let hash = "0a".repeat(32);
        for config in [format!("{hash}.json"), format!("blobs/sha256/{hash}")] {
            let list = format!("[{{\"Config\":\"{config}\",\"RepoTags\":[\"a:1\"],\"Layers\":[]}}]");
            let file = archive(&[("layer.tar", "x"), (MANIFEST, &list)]);
            assert_eq!(image_id(file.path()).unwrap(), format!("sha256:{hash}"));
        }
    }

    #[test]
    fn what_is_no_archive_of_one_image_is_named() {
        let refusal = |file: &Path| image_id(file).unwrap_err().to_string();
        assert!(refusal(archive(&[("a", "b")]).path()).contains("it has no manifest.json"));
        assert!(refusal(archive(&[(MANIFEST, "[]")]).path()).contains("it has 0 images"));
        assert!(refusal(archive(&[(MANIFEST, "[{\"Config\":\"x\"}]")]).path()).contains("its configuration is \"x\""));
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "not a tar at all, but longer than a header".repeat(30)).unwrap();
        assert!(refusal(text.path()).contains("docker save"));
        assert!(refusal(Path::new("/nowhere.tar")).contains("/nowhere.tar"));
    }

    #[test]
    fn equal_roots_make_equal_contexts() {
        let mut tree = Tree::default();
        tree.file("/usr/bin/x", b"program".to_vec(), true).unwrap();
        tree.link("/bin", "usr/bin").unwrap();
        tree.dir("/tmp").unwrap();
        let (one, other) = (of_tree(&tree).unwrap(), of_tree(&tree).unwrap());
        assert_eq!(one.hash, other.hash);
        let mut outer = tar::Archive::new(one.tar.as_slice());
        let mut root = Vec::new();
        for entry in outer.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap() == Path::new("root.tar") {
                entry.read_to_end(&mut root).unwrap();
            }
        }
        let mut inner = tar::Archive::new(root.as_slice());
        let paths: Vec<_> = inner
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["bin", "tmp/", "usr/", "usr/bin/", "usr/bin/x"]);
    }

    #[test]
    fn a_folder_is_a_context_or_a_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hello"), "x").unwrap();
        let root = of_folder(dir.path()).unwrap();
        std::fs::write(dir.path().join("Dockerfile"), "FROM scratch\nCOPY hello /\n").unwrap();
        let context = of_folder(dir.path()).unwrap();
        assert_ne!(root.hash, context.hash);
        let error = of_folder(Path::new("/nowhere")).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
