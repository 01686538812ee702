//! The file tree that the kernel tells about itself in: `/proc` and `/sys`, or a recorded one.

use std::fs;
use std::path::PathBuf;

use protocol::spec::CpuSet;

/// A root under which `proc` and `sys` are. What is not there, cannot be read or is empty is `None`.
#[derive(Clone, Debug)]
pub struct Tree(PathBuf);

impl Default for Tree {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Tree {
    /// The tree under this root.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// A file's text, without white space around it.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.0.join(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// A file that holds a number and nothing else.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// A file that holds 0 or 1.
    #[must_use]
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.number::<u8>(path)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A file that holds a list of CPUs. An empty list, which the kernel may write as `(null)`, is `None`.
    #[must_use]
    pub fn cpus(&self, path: &str) -> Option<CpuSet> {
        self.number(path)
    }

    /// Whether there is such a file or folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }

    /// The names in a folder that are `prefix` and a number, in the order of their numbers: `cpu0`, `cpu1`, `cpu10`.
    #[must_use]
    pub fn numbered(&self, folder: &str, prefix: &str) -> Vec<(u32, String)> {
        let number = |name: &str| name.strip_prefix(prefix)?.parse().ok();
        let mut found: Vec<(u32, String)> = self
            .names(folder)
            .into_iter()
            .filter_map(|name| Some((number(&name)?, format!("{folder}/{name}"))))
            .collect();
        found.sort();
        found
    }

    /// The names in a folder, in their order.
    #[must_use]
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.join(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

/// The value of a line `key: value` or `key = value`, as `/proc/cpuinfo` and `/proc/meminfo` have them; the first such line counts.
#[must_use]
pub fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key)
            .then(|| value.trim())
            .filter(|value| !value.is_empty())
    })
}

/// The value of a line `key: N kB`, bytes.
#[must_use]
pub fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let number = value(text, key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    number.checked_mul(1024)
}

/// The word in brackets: of `always [madvise] never`, `madvise`.
#[must_use]
pub fn chosen(text: &str) -> Option<&str> {
    let (_, from) = text.split_once('[')?;
    Some(from.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_what_is_cut_short_is_nothing() {
        let text = "MemTotal:       16 kB\nHugePages_Total:       3\nDirty:\nOdd: x kB\n";
        assert_eq!(kibibytes(text, "MemTotal"), Some(16_384));
        assert_eq!(value(text, "HugePages_Total"), Some("3"));
        for key in ["Dirty", "Odd", "HugePages_Total", "None"] {
            assert_eq!(kibibytes(text, key), None, "{key}");
        }
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!((chosen("madvise"), chosen("[a"), chosen("")), (None, None, None));
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        let tree = Tree::at("/nowhere");
        assert_eq!(tree.text("proc/stat"), None);
        assert_eq!(tree.numbered("sys", "cpu"), []);
        assert!(!tree.has("proc"));
    }
}
