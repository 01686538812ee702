//! Identities: validated names, and UUID newtypes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A name of an experiment, platform, workload, load, service, host or controller.
///
/// 1 to 63 characters of `a-z 0-9 - _`, the first a letter or digit. Such a name needs no quoting in a path, a topic key, a container name, a
/// cgroup or a guest's command line, which prevents injection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Not a valid [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a valid name: use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit")]
pub struct InvalidName {
    /// The invalid text, truncated to 80 characters.
    pub given: String,
}

impl Name {
    /// Maximum length in characters.
    pub const MAX: usize = 63;

    /// The name of a machine from its host name: lower case letters, digits, `-` and `_` are kept, everything else becomes `-`; the domain is
    /// removed. Controller and runner of one machine so have the same default.
    #[must_use]
    pub fn of_host(host: &str) -> Self {
        let host = host.trim().split('.').next().unwrap_or_default().to_lowercase();
        let plain = |c: char| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' {
                c
            } else {
                '-'
            }
        };
        let text: String = host.chars().map(plain).take(Self::MAX).collect();
        let text = text.trim_start_matches(['-', '_']);
        text.parse().unwrap_or_else(|_| Self("runner".to_owned()))
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_valid = text.len() <= Self::MAX
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || c == '-' || c == '_');
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidName { given: truncated(text) })
    }
}

/// The first 80 characters of an invalid text, for error messages.
pub(crate) fn truncated(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Implements the conversions of a newtype over a validated string, given its `FromStr`.
macro_rules! validated_string {
    ($type:ident, $error:ident) => {
        impl $type {
            /// It as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
pub(crate) use validated_string;

validated_string!(Name, InvalidName);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Generates a time-ordered id (UUID version 7).
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id! {
    /// One attempt at a trial. A repeated trial gets a new id; a repeated RUN keeps it.
    AttemptId
}
uuid_id! {
    /// One message. A reply refers to the id of the message that it answers.
    MessageId
}

/// The start time of a controller, ms since 1970. Of two controllers with the same name the one with the higher epoch is obeyed; commands of the
/// other are refused as stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_name_becomes_a_valid_name() {
        for (host, name) in [
            ("Lab-2.example.org\n", "lab-2"),
            ("__x y", "x-y"),
            ("", "runner"),
            ("ß", "runner"),
            (&"a".repeat(200), &"a".repeat(63)),
        ] {
            assert_eq!(Name::of_host(host).as_str(), name, "{host:?}");
        }
    }

    #[test]
    fn names_are_validated() {
        for good in ["native", "tcp-500", "a", "0", "user_registry", &"x".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-rf",
            "_x",
            "A",
            "a b",
            "a/b",
            "..",
            "a\n",
            "é",
            "a,b=c",
            &"x".repeat(64),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_invalid_name_in_json_is_refused() {
        let error = serde_json::from_str::<Name>("\"../x\"").unwrap_err();
        assert!(error.to_string().contains("is not a valid name"), "{error}");
    }
}
