//! Validated texts of descriptions: paths, programs, names of users and environment variables, regular expressions.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{truncated, validated_string};

/// The path of a file below a directory: at most 200 characters, no `.` or `..`, nothing that could lead elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

/// Not a valid [`RelativePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a path below a directory: write e.g. www/index.html, without a leading / and without ..")]
pub struct InvalidRelativePath {
    /// The invalid text.
    pub given: String,
}

validated_string!(RelativePath, InvalidRelativePath);

impl FromStr for RelativePath {
    type Err = InvalidRelativePath;

    fn from_str(text: &str) -> Result<Self, InvalidRelativePath> {
        let is_valid = text.len() <= 200
            && !text.contains(char::is_control)
            && text.split('/').all(|part| !["", ".", ".."].contains(&part));
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidRelativePath { given: truncated(text) })
    }
}

/// A program of the target host: an absolute path, a name that is looked up in the usual folders, or a path below the folder of the description.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProgramPath(String);

/// Not a valid [`ProgramPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a program: write an absolute path such as /usr/sbin/nginx, a name, or a path below the description's folder"
)]
pub struct InvalidProgramPath {
    /// The invalid text.
    pub given: String,
}

validated_string!(ProgramPath, InvalidProgramPath);

impl FromStr for ProgramPath {
    type Err = InvalidProgramPath;

    fn from_str(text: &str) -> Result<Self, InvalidProgramPath> {
        let below = text.strip_prefix('/').unwrap_or(text);
        let is_valid = below.parse::<RelativePath>().is_ok() && !text.starts_with('-');
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidProgramPath { given: truncated(text) })
    }
}

/// An absolute path without `.` and `..`, of the target host or in a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(String);

/// Not a valid [`AbsolutePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an absolute path: write e.g. /etc/nginx/mime.types, without ..")]
pub struct InvalidAbsolutePath {
    /// The invalid text.
    pub given: String,
}

validated_string!(AbsolutePath, InvalidAbsolutePath);

impl FromStr for AbsolutePath {
    type Err = InvalidAbsolutePath;

    fn from_str(text: &str) -> Result<Self, InvalidAbsolutePath> {
        // A colon would end a path in the mounts of containers.
        let below = text.strip_prefix('/').filter(|below| !below.contains(':'));
        below
            .filter(|below| below.parse::<RelativePath>().is_ok())
            .map(|_| Self(text.to_owned()))
            .ok_or_else(|| InvalidAbsolutePath { given: truncated(text) })
    }
}

/// The name of a container image: `[registry[:port]/]name[:tag][@sha256:digest]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

/// Not a valid [`ImageName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the name of an image: write e.g. nginx:1.27, registry.example.org/group/name@sha256:...")]
pub struct InvalidImageName {
    /// The invalid text.
    pub given: String,
}

validated_string!(ImageName, InvalidImageName);

impl ImageName {
    /// The name without tag and digest, and the reference that selects an image of that name: a digest, a tag, or `latest`.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        if let Some((name, digest)) = self.0.split_once('@') {
            // A tag beside a digest selects nothing.
            return (
                name.rsplit_once(':')
                    .filter(|(_, tag)| !tag.contains('/'))
                    .map_or(name, |(name, _)| name),
                digest,
            );
        }
        match self.0.rsplit_once(':') {
            // The colon of a registry's port is before a slash.
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (&self.0, "latest"),
        }
    }

    /// Whether the name selects one content for ever.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.0.contains('@')
    }
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        let part = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_plain)
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let is_digest = |digest: &str| {
            let hex = digest.strip_prefix("sha256:");
            hex.is_some_and(|hex| {
                hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            })
        };
        let is_valid = text.len() <= 255
            && name
                .split('/')
                .all(|level| level.split(':').all(part) && level.matches(':').count() <= 1)
            && digest.is_none_or(is_digest);
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidImageName { given: truncated(text) })
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

/// Not a valid [`EnvName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the name of an environment variable: use letters, digits and _, not beginning with a digit")]
pub struct InvalidEnvName {
    /// The invalid text.
    pub given: String,
}

validated_string!(EnvName, InvalidEnvName);

impl FromStr for EnvName {
    type Err = InvalidEnvName;

    fn from_str(text: &str) -> Result<Self, InvalidEnvName> {
        let is_valid = (1..=100).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !text.starts_with(|c: char| c.is_ascii_digit());
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidEnvName { given: truncated(text) })
    }
}

/// The name of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// Not a valid [`UserName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the name of a user: use 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or _")]
pub struct InvalidUserName {
    /// The invalid text.
    pub given: String,
}

validated_string!(UserName, InvalidUserName);

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let is_valid = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidUserName { given: truncated(text) })
    }
}

/// A regular expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Not a valid [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a regular expression: {why}")]
pub struct InvalidPattern {
    /// The invalid text.
    pub given: String,
    /// What is wrong with it.
    pub why: String,
}

validated_string!(Pattern, InvalidPattern);

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        match regex::bytes::Regex::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(InvalidPattern {
                given: truncated(text),
                // The message draws the place with several lines.
                why: error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_its_directory() {
        for good in ["nginx.conf", "www/index.html", "a b", ".hidden"] {
            assert_eq!(good.parse::<RelativePath>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "a\n",
            &"x".repeat(201),
        ] {
            assert!(bad.parse::<RelativePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn programs_are_paths_or_names() {
        for good in ["/usr/sbin/nginx", "redis-server", "bin/server"] {
            assert_eq!(good.parse::<ProgramPath>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "-x", "/usr/../bin/sh", "../sh", "//x"] {
            assert!(bad.parse::<ProgramPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn images_have_a_name_and_a_reference() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, name, reference) in [
            ("nginx", "nginx", "latest"),
            ("nginx:1.27", "nginx", "1.27"),
            ("127.0.0.1:5000/web", "127.0.0.1:5000/web", "latest"),
            ("lab:5000/group/web:a_b", "lab:5000/group/web", "a_b"),
            (&format!("lab/web@{digest}"), "lab/web", &digest),
            (&format!("lab:5000/web:1@{digest}"), "lab:5000/web", &digest),
        ] {
            let image: ImageName = text.parse().unwrap();
            assert_eq!(image.split(), (name, reference), "{text}");
            assert_eq!(image.is_pinned(), text.contains('@'));
        }
        for bad in [
            "",
            "-x",
            "a b",
            "a/../b",
            "/a",
            "a/",
            "a:b:c",
            "a@sha256:12",
            "a@md5:1",
            "é",
            "a\n",
            ":a",
        ] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn absolute_paths_are_validated() {
        assert!("/etc/nginx/nginx.conf".parse::<AbsolutePath>().is_ok());
        for bad in ["", "/", "etc", "/a/../b", "/a:/b", "//"] {
            assert!(bad.parse::<AbsolutePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_users_and_variables_are_validated() {
        assert!("www-data".parse::<UserName>().is_ok() && "_apt".parse::<UserName>().is_ok());
        assert!("GOMAXPROCS".parse::<EnvName>().is_ok());
        for bad in ["", "a b", "A;", "0x", "é"] {
            assert!(
                bad.parse::<UserName>().is_err() && bad.parse::<EnvName>().is_err(),
                "{bad:?}"
            );
        }
        assert!("PATH=x".parse::<EnvName>().is_err());
    }

    #[test]
    fn an_invalid_pattern_says_why() {
        let error = "a(".parse::<Pattern>().unwrap_err();
        assert!(error.to_string().contains("unclosed group"), "{error}");
        assert!(serde_json::from_str::<Pattern>("\"[\"").is_err());
    }
}
