//! Checks, before a run, of files that a configuration refers to.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Why a file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not exist, or there is no permission to read it.
    #[error("this file cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// It is a directory.
    #[error("this is a directory, not a file")]
    Directory,
    /// It is empty.
    #[error("this file is empty")]
    Empty,
    /// It is larger than permitted.
    #[error("this file is larger than {0} bytes")]
    TooLarge(u64),
    /// It is a socket, a pipe or a device.
    #[error("this is not a regular file")]
    Special,
}

/// Reads a file that must not be empty.
///
/// # Errors
/// See [`FileError`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_up_to(path, u64::MAX)
}

/// Checks that a file is readable and not empty, without reading all of it.
///
/// # Errors
/// See [`FileError`].
pub fn check(path: &Path) -> Result<(), FileError> {
    read_up_to(path, 1).map(drop)
}

/// Reads a regular file of at most `limit` bytes, which may be empty.
///
/// # Errors
/// See [`FileError`].
pub fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    // Opening a pipe would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|data| !data.is_dir() && !data.is_file()) {
        return Err(FileError::Special);
    }
    match read_up_to(path, limit + 1) {
        Ok(bytes) if bytes.len() as u64 > limit => Err(FileError::TooLarge(limit)),
        Err(FileError::Empty) => Ok(Vec::new()),
        other => other,
    }
}

fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    if path.is_dir() {
        return Err(FileError::Directory);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(FileError::Unreadable)?;
    if bytes.is_empty() {
        return Err(FileError::Empty);
    }
    Ok(bytes)
}

/// The librdkafka options that refer to unusable files, with the error. librdkafka's own message does not name the file.
#[must_use]
pub fn kafka_option_errors(options: &BTreeMap<String, String>) -> Vec<(&str, FileError)> {
    let errors = options.iter().filter_map(|(option, value)| {
        let path = Path::new(value);
        let names_a_file = option.ends_with(".location") || option == "sasl.kerberos.keytab";
        // "probe" selects the system's certificates, and CA certificates may be a directory.
        let is_exempt = option == "ssl.ca.location" && (value == "probe" || path.is_dir());
        (names_a_file && !is_exempt)
            .then(|| check(path).err())
            .flatten()
            .map(|error| (option.as_str(), error))
    });
    errors.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_files_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&full, "text").unwrap();
        assert_eq!(read(&full).unwrap(), b"text");
        check(&full).unwrap();
        assert!(matches!(check(&empty), Err(FileError::Empty)));
        assert!(matches!(check(folder.path()), Err(FileError::Directory)));
        assert_eq!(read_small(&full, 4).unwrap(), b"text");
        assert_eq!(read_small(&empty, 4).unwrap(), b"");
        assert!(matches!(read_small(&full, 3), Err(FileError::TooLarge(3))));
        assert!(matches!(read_small(folder.path(), 3), Err(FileError::Directory)));
        assert!(matches!(
            read_small(&folder.path().join("none"), 3),
            Err(FileError::Unreadable(_))
        ));
        assert!(matches!(read_small(Path::new("/dev/zero"), 3), Err(FileError::Special)));
        let missing = check(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(
            missing.starts_with("this file cannot be read: No such file"),
            "{missing}"
        );
    }

    #[test]
    fn options_that_refer_to_files_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        let errors = |options: &[(&str, &str)]| {
            let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            let options: BTreeMap<_, _> = options.collect();
            kafka_option_errors(&options)
                .into_iter()
                .map(|(key, _)| key.to_owned())
                .collect::<Vec<_>>()
        };
        let none = [
            ("ssl.ca.location", "probe"),
            ("sasl.username", "/none"),
            ("linger.ms", "1"),
        ];
        assert_eq!(errors(&none), [] as [&str; 0]);
        assert_eq!(errors(&[("ssl.ca.location", &here)]), [] as [&str; 0]);
        assert_eq!(
            errors(&[("ssl.ca.location", "/none"), ("ssl.key.location", &here)]),
            ["ssl.ca.location", "ssl.key.location"]
        );
    }
}
