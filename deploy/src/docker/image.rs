//! The image: FROM scratch out of the static workload binary, or one that the engine has.

use std::path::Path;

use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::spec::DockerSpec;

use super::engine::{is_missing, said};
use crate::DeployError;
use crate::binary::Binary;

/// All that is in the image. `ENTRYPOINT` in its JSON form: there is no shell.
const DOCKERFILE: &str = "FROM scratch\nCOPY workload /workload\nENTRYPOINT [\"/workload\"]\n";
/// The repository of the images that are built here.
const REPOSITORY: &str = "jung-workload";

/// An image as the engine has it.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The hash of its configuration.
    pub(super) id: String,
    /// Its size, bytes.
    pub(super) bytes: u64,
}

/// The name of the image that a deployment needs. The tag is the program's hash, so that the same program is built once.
pub(super) async fn name(spec: &DockerSpec, workload: &Path) -> Result<String, DeployError> {
    if let Some(image) = &spec.image {
        return Ok(image.clone());
    }
    let binary = Binary::read(workload).await?;
    if !binary.is_static() {
        return Err(DeployError::Unmet {
            need: format!(
                "the workload program {} is not static ({})",
                workload.display(),
                binary.linking()
            ),
            remedy: "build it with deploy/build-workload.sh: an image FROM scratch has no loader and no libraries"
                .into(),
        });
    }
    Ok(format!("{REPOSITORY}:{}", &binary.sha256()[..16]))
}

/// Looks for an image; `None`: the engine does not have it.
pub(super) async fn find(docker: &bollard::Docker, name: &str) -> Result<Option<Image>, DeployError> {
    match docker.inspect_image(name).await {
        Ok(image) => Ok(Some(Image {
            id: image.id.unwrap_or_default(),
            bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        })),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(said(&error)),
    }
}

/// An image that was named must be there: a pull would change what is compared from one run to the next.
pub(super) fn missing(image: &str) -> DeployError {
    let remedy = if image.starts_with(REPOSITORY) {
        "somebody removed it since it was built: try again, it is built anew".to_owned()
    } else {
        format!("get it yourself (`docker pull {image}` or `docker load`), it is never pulled; or leave out `image`")
    };
    DeployError::ImageMissing {
        image: image.to_owned(),
        remedy,
    }
}

/// Builds the image, if the engine does not have it yet.
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
        what: format!("packing {}", workload.display()),
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
        let step = step.map_err(|error| said(&error))?;
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
            message: format!("built {name} and does not have it"),
        }),
    }
}

/// The build context: two files, with no times or owners of this machine in them.
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
    async fn a_dynamic_program_is_refused_with_the_remedy() {
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
    async fn a_named_image_keeps_its_name() {
        let spec = DockerSpec {
            publish: false,
            image: Some("nginx:1.29".into()),
            ..DockerSpec::default()
        };
        assert_eq!(name(&spec, Path::new("/nowhere")).await.unwrap(), "nginx:1.29");
        assert!(missing("nginx:1.29").to_string().contains("docker pull nginx:1.29"));
    }
}
