//! The image: built FROM scratch with the static workload program, or an existing one.

use std::path::Path;

use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::spec::DockerSpec;

use super::engine::{engine_error, is_missing};
use crate::DeployError;
use crate::binary::Binary;

/// The whole image. `ENTRYPOINT` in its JSON form: there is no shell.
const DOCKERFILE: &str = "FROM scratch\nCOPY workload /workload\nENTRYPOINT [\"/workload\"]\n";
/// The repository of images that are built here.
const REPOSITORY: &str = "jung-workload";

/// An image of the engine.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The hash of its configuration.
    pub(super) id: String,
    /// Its size, bytes.
    pub(super) bytes: u64,
}

/// The name of a deployment's image. The tag is the program's hash, so that each program is built once.
pub(super) async fn name(spec: &DockerSpec, workload: &Path) -> Result<String, DeployError> {
    if let Some(image) = &spec.image {
        return Ok(image.clone());
    }
    let binary = Binary::read_static(workload, "an image FROM scratch").await?;
    Ok(format!("{REPOSITORY}:{}", &binary.sha256()[..16]))
}

/// An image by its name; `None`: the engine does not have it.
pub(super) async fn find(docker: &bollard::Docker, name: &str) -> Result<Option<Image>, DeployError> {
    match docker.inspect_image(name).await {
        Ok(image) => Ok(Some(Image {
            id: image.id.unwrap_or_default(),
            bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        })),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(engine_error(&error)),
    }
}

/// A configured image must exist: pulling it could change what is compared between runs.
pub(super) fn missing(image: &str) -> DeployError {
    let remedy = if image.starts_with(REPOSITORY) {
        "it was removed after it had been built: try again to rebuild it".to_owned()
    } else {
        format!("Jung never pulls images: run `docker pull {image}` or `docker load`, or remove the key `image`")
    };
    DeployError::ImageMissing {
        image: image.to_owned(),
        remedy,
    }
}

/// Builds the image unless the engine has it. Returns its name.
pub(super) async fn ensure(
    docker: &bollard::Docker,
    spec: &DockerSpec,
    workload: &Path,
) -> Result<String, DeployError> {
    let name = name(spec, workload).await?;
    match find(docker, &name).await? {
        Some(_) => {}
        None if spec.image.is_some() => return Err(missing(&name)),
        None => build(docker, &name, workload).await?,
    }
    Ok(name)
}

async fn build(docker: &bollard::Docker, name: &str, workload: &Path) -> Result<(), DeployError> {
    let io = |source| DeployError::Io {
        what: format!("reading {}", workload.display()),
        source,
    };
    let program = tokio::fs::read(workload).await.map_err(io)?;
    let context = context(&program).map_err(io)?;
    let options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .t(name)
        .rm(true)
        .forcerm(true)
        .build();
    let mut output = docker.build_image(options, None, Some(bollard::body_full(context)));
    while let Some(step) = output.next().await {
        let step = step.map_err(|error| engine_error(&error))?;
        if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
            return Err(DeployError::Platform {
                platform: "docker",
                message: format!("building {name}: {message}"),
            });
        }
    }
    match find(docker, name).await? {
        Some(_) => Ok(()),
        None => Err(DeployError::Platform {
            platform: "docker",
            message: format!("the engine built {name}, but does not have it"),
        }),
    }
}

/// The build context: two files, without timestamps or owners of this machine.
fn context(program: &[u8]) -> std::io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::with_capacity(program.len() + 4096));
    for (path, mode, bytes) in [
        ("Dockerfile", 0o644, DOCKERFILE.as_bytes()),
        ("workload", 0o755, program),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        tar.append_data(&mut header, path, bytes)?;
    }
    tar.into_inner().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_holds_the_program_and_its_dockerfile() {
        let context = context(b"program").unwrap();
        let mut archive = tar::Archive::new(&context[..]);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.path().unwrap().display().to_string(),
                    entry.header().mode().unwrap(),
                    entry.size(),
                )
            })
            .collect();
        let dockerfile = u64::try_from(DOCKERFILE.len()).unwrap();
        assert_eq!(
            entries,
            [("Dockerfile".into(), 0o644, dockerfile), ("workload".into(), 0o755, 7)]
        );
    }

    #[tokio::test]
    async fn a_dynamic_program_is_refused() {
        let error = name(&DockerSpec::default(), &std::env::current_exe().unwrap())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("not static (dynamic)") && error.contains("build-workload.sh"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_configured_image_keeps_its_name() {
        let spec = DockerSpec {
            publish: false,
            image: Some("nginx:1.29".into()),
            ..DockerSpec::default()
        };
        assert_eq!(name(&spec, Path::new("/nowhere")).await.unwrap(), "nginx:1.29");
        assert!(missing("nginx:1.29").to_string().contains("docker pull nginx:1.29"));
    }
}
