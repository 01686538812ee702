//! What a container occupies on disk: the layers of its image, and what it has written.

use bollard::models::{ImageHistoryResponseItem, ImageInspect};
use bollard::query_parameters::InspectContainerOptionsBuilder;
use protocol::size::{Part, Size};

use super::engine::retry_unreadable;

/// The sizes that the engine reports. Unknown ones are left out.
pub(super) async fn of(docker: &bollard::Docker, container: &str, image: &str) -> Vec<Size> {
    let mut sizes = layers(docker, image).await.unwrap_or_default();
    let options = InspectContainerOptionsBuilder::new().size(true).build();
    let inspect = retry_unreadable(|| docker.inspect_container(container, Some(options.clone())))
        .await
        .ok();
    let written = inspect.and_then(|inspect| inspect.size_rw).map(|bytes| Size {
        part: Part::Written,
        id: container.to_owned(),
        bytes: u64::try_from(bytes).unwrap_or(0),
    });
    sizes.extend(written);
    sizes
}

async fn layers(docker: &bollard::Docker, image: &str) -> Option<Vec<Size>> {
    let inspect = docker.inspect_image(image).await.ok()?;
    let history = docker.image_history(image).await.ok()?;
    Some(by_digest(&inspect, &history))
}

/// The layers by digest, so that a layer that several images share counts once. The history has the sizes, newest first, with entries that created no
/// layer. If the numbers do not match, the image counts as one layer.
fn by_digest(inspect: &ImageInspect, history: &[ImageHistoryResponseItem]) -> Vec<Size> {
    let digests = inspect.root_fs.as_ref().and_then(|root| root.layers.clone());
    let digests = digests.unwrap_or_default();
    let sizes: Vec<u64> = history
        .iter()
        .rev()
        .filter_map(|step| u64::try_from(step.size).ok().filter(|&bytes| bytes > 0))
        .collect();
    let layer = |(id, bytes)| Size {
        part: Part::Layer,
        id,
        bytes,
    };
    if digests.len() == sizes.len() {
        return digests.into_iter().zip(sizes).map(layer).collect();
    }
    let whole = inspect.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    vec![layer((inspect.id.clone().unwrap_or_default(), whole))]
}

#[cfg(test)]
mod tests {
    use bollard::models::ImageInspectRootFs;

    use super::*;

    fn step(size: i64) -> ImageHistoryResponseItem {
        ImageHistoryResponseItem {
            size,
            ..ImageHistoryResponseItem::default()
        }
    }

    fn image(layers: &[&str]) -> ImageInspect {
        ImageInspect {
            id: Some("sha256:image".into()),
            size: Some(107),
            root_fs: Some(ImageInspectRootFs {
                typ: "layers".into(),
                layers: Some(layers.iter().map(|&layer| layer.into()).collect()),
            }),
            ..ImageInspect::default()
        }
    }

    fn shown(sizes: &[Size]) -> Vec<(&str, u64)> {
        sizes.iter().map(|size| (size.id.as_str(), size.bytes)).collect()
    }

    #[test]
    fn layers_have_their_digests_oldest_first() {
        let sizes = by_digest(&image(&["base", "program"]), &[step(0), step(7), step(0), step(100)]);
        assert_eq!(shown(&sizes), [("base", 100), ("program", 7)]);
    }

    #[test]
    fn an_image_with_an_incomplete_history_counts_as_one_layer() {
        let sizes = by_digest(&image(&["base", "program"]), &[step(107)]);
        assert_eq!(shown(&sizes), [("sha256:image", 107)]);
    }
}
