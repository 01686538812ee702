//! `/proc` and `/sys`, or recorded ones.

use std::fs;
use std::path::PathBuf;

use protocol::spec::CpuSet;

/// The root of `proc` and `sys`. A file that is missing, unreadable or empty is `None`.
#[derive(Clone, Debug)]
pub struct Tree(PathBuf);

impl Default for Tree {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Tree {
    /// The tree below this root.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The text of a file, trimmed.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.0.join(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The number in a file that contains nothing else.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The value of a file that contains 0 or 1.
    #[must_use]
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.number::<u8>(path)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// The CPUs in a file that contains a list of them. An empty list, which the kernel may print as `(null)`, is `None`.
    #[must_use]
    pub fn cpus(&self, path: &str) -> Option<CpuSet> {
        self.number(path)
    }

    /// Whether a file or folder exists.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }

    /// The entries of a folder named `prefix` and a number, ordered by number: `cpu0`, `cpu1`, `cpu10`.
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

    /// The names in a folder, sorted.
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

/// The value of the first line `key: value`, the format of `/proc/cpuinfo` and `/proc/meminfo`.
#[must_use]
pub fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key)
            .then(|| value.trim())
            .filter(|value| !value.is_empty())
    })
}

/// The value of the first line `key: N kB`, bytes.
#[must_use]
pub fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let number = value(text, key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    number.checked_mul(1024)
}

/// The word in brackets: `madvise` in `always [madvise] never`.
#[must_use]
pub fn selected(text: &str) -> Option<&str> {
    let (_, from) = text.split_once('[')?;
    Some(from.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed_or_absent() {
        let text = "MemTotal:       16 kB\nHugePages_Total:       3\nDirty:\nOdd: x kB\n";
        assert_eq!(kibibytes(text, "MemTotal"), Some(16_384));
        assert_eq!(value(text, "HugePages_Total"), Some("3"));
        for key in ["Dirty", "Odd", "HugePages_Total", "None"] {
            assert_eq!(kibibytes(text, key), None, "{key}");
        }
        assert_eq!(selected("always [madvise] never"), Some("madvise"));
        assert_eq!((selected("madvise"), selected("[a"), selected("")), (None, None, None));
    }

    #[test]
    fn missing_files_are_absent() {
        let tree = Tree::at("/nowhere");
        assert_eq!(tree.text("proc/stat"), None);
        assert_eq!(tree.numbered("sys", "cpu"), []);
        assert!(!tree.has("proc"));
    }
}
