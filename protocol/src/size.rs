//! Disk usage of a service: program, image, kernel, root file system, and written data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One file or image layer that a service occupies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Its kind.
    pub part: Part,
    /// Path or digest: services with the same id share it.
    pub id: String,
    /// Allocated bytes, without holes of sparse files.
    pub bytes: u64,
}

/// The kind of a file or image layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The executable of a host process.
    Program,
    /// A container image layer.
    Layer,
    /// A guest kernel.
    Kernel,
    /// The second boot file of a guest: an initramfs, a multiboot module.
    Initrd,
    /// The root file system built for a guest from the workload.
    RootFs,
    /// A prebuilt guest disk.
    Disk,
    /// Data written by one service at run time, in its overlay or container layer.
    Written,
}

impl Part {
    /// All parts, in display order.
    pub const ALL: [Self; 7] = [
        Self::Program,
        Self::Layer,
        Self::Kernel,
        Self::Initrd,
        Self::RootFs,
        Self::Disk,
        Self::Written,
    ];

    /// Its name in records and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

/// Bytes by part over all services of a deployment; shared files count once.
#[must_use]
pub fn totals<'a>(sizes: impl IntoIterator<Item = &'a Size>) -> BTreeMap<Part, u64> {
    let mut unique: BTreeMap<(Part, &str), u64> = BTreeMap::new();
    for size in sizes {
        let known = unique.entry((size.part, &size.id)).or_default();
        *known = (*known).max(size.bytes);
    }
    let mut totals = BTreeMap::new();
    for ((part, _), bytes) in unique {
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
    fn shared_files_count_once() {
        let one = [size(Part::Layer, "sha256:a", 100), size(Part::Written, "one", 3)];
        let two = [size(Part::Layer, "sha256:a", 100), size(Part::Written, "two", 4)];
        let totals = totals(one.iter().chain(&two));
        assert_eq!(totals, BTreeMap::from([(Part::Layer, 100), (Part::Written, 7)]));
    }
}
