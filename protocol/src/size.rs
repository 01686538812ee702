//! How large a service is where it lies: program, image, kernel, root file system, and what it wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One file or layer that a service needs on its host's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// What it is.
    pub part: Part,
    /// Which one it is, a path or a digest: services that name the same one share it.
    pub id: String,
    /// Bytes that it occupies; holes of a sparse file are not among them.
    pub bytes: u64,
}

/// What a file or a layer is to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The program that a process of the host executes.
    Program,
    /// A layer of a container's image.
    Layer,
    /// The kernel of a guest.
    Kernel,
    /// The second file of a guest's boot: an initramfs, a multiboot module.
    Initrd,
    /// The root file system that was made for a guest out of the workload.
    RootFs,
    /// A disk of a guest that came ready-made.
    Disk,
    /// What one service wrote while it ran, in its overlay or its container's own layer.
    Written,
}

impl Part {
    /// Every part, in the order they are shown.
    pub const ALL: [Self; 7] = [
        Self::Program,
        Self::Layer,
        Self::Kernel,
        Self::Initrd,
        Self::RootFs,
        Self::Disk,
        Self::Written,
    ];

    /// The word that records and reports use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Layer => "layer",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::RootFs => "root-fs",
            Self::Disk => "disk",
            Self::Written => "written",
        }
    }
}

/// Bytes of each part over all services of a deployment, what they share counted once.
#[must_use]
pub fn totals<'a>(sizes: impl IntoIterator<Item = &'a Size>) -> BTreeMap<Part, u64> {
    let mut once: BTreeMap<(Part, &str), u64> = BTreeMap::new();
    for size in sizes {
        let known = once.entry((size.part, &size.id)).or_default();
        *known = (*known).max(size.bytes);
    }
    let mut totals = BTreeMap::new();
    for ((part, _), bytes) in once {
        *totals.entry(part).or_default() += bytes;
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(part: Part, id: &str, bytes: u64) -> Size {
        Size {
            part,
            id: id.into(),
            bytes,
        }
    }

    #[test]
    fn what_services_share_counts_once() {
        let one = [size(Part::Layer, "sha256:a", 100), size(Part::Written, "one", 3)];
        let two = [size(Part::Layer, "sha256:a", 100), size(Part::Written, "two", 4)];
        let totals = totals(one.iter().chain(&two));
        assert_eq!(totals, BTreeMap::from([(Part::Layer, 100), (Part::Written, 7)]));
    }
}
