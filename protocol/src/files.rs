//! Files that a configuration names: whether they can be read, before anything depends on them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It is not there, or there is no permission.
    #[error("this file cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// It is a directory.
    #[error("this is a directory, not a file")]
    Directory,
    /// It has no content.
    #[error("this file is empty")]
    Empty,
}

/// The content of a file, which is not empty.
///
/// # Errors
/// See [`FileFault`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileFault> {
    content(path, u64::MAX)
}

/// Whether a file can be read and is not empty; it may be large.
///
/// # Errors
/// See [`FileFault`].
pub fn check(path: &Path) -> Result<(), FileFault> {
    content(path, 1).map(drop)
}

fn content(path: &Path, most: u64) -> Result<Vec<u8>, FileFault> {
    if path.is_dir() {
        return Err(FileFault::Directory);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(FileFault::Unreadable)?;
    if bytes.is_empty() {
        return Err(FileFault::Empty);
    }
    Ok(bytes)
}

/// The files that options of librdkafka name and that are of no use: option and fault. librdkafka itself only says that it failed.
#[must_use]
pub fn of_kafka_options(options: &BTreeMap<String, String>) -> Vec<(&str, FileFault)> {
    let faults = options.iter().filter_map(|(option, value)| {
        let path = Path::new(value);
        let names_a_file = option.ends_with(".location") || option == "sasl.kerberos.keytab";
        // "probe" looks for the system's certificates, and certificates of authorities may be a directory.
        let may_be_else = option == "ssl.ca.location" && (value == "probe" || path.is_dir());
        (names_a_file && !may_be_else)
            .then(|| check(path).err())
            .flatten()
            .map(|fault| (option.as_str(), fault))
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&full, "text").unwrap();
        assert_eq!(read(&full).unwrap(), b"text");
        check(&full).unwrap();
        assert!(matches!(check(&empty), Err(FileFault::Empty)));
        assert!(matches!(check(folder.path()), Err(FileFault::Directory)));
        let missing = check(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(
            missing.starts_with("this file cannot be read: No such file"),
            "{missing}"
        );
    }

    #[test]
    fn options_that_name_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        let faults = |options: &[(&str, &str)]| {
            let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            let options: BTreeMap<_, _> = options.collect();
            of_kafka_options(&options)
                .into_iter()
                .map(|(key, _)| key.to_owned())
                .collect::<Vec<_>>()
        };
        let none = [
            ("ssl.ca.location", "probe"),
            ("sasl.username", "/none"),
            ("linger.ms", "1"),
        ];
        assert_eq!(faults(&none), [] as [&str; 0]);
        assert_eq!(faults(&[("ssl.ca.location", &here)]), [] as [&str; 0]);
        assert_eq!(
            faults(&[("ssl.ca.location", "/none"), ("ssl.key.location", &here)]),
            ["ssl.ca.location", "ssl.key.location"]
        );
    }
}
