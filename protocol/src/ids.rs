//! Identities: names that are safe wherever they end up, and UUIDs that cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A name of an experiment, platform, workload, load, service, host or controller.
///
/// 1 to 63 characters of `a-z 0-9 - _`, the first a letter or a digit: such a name can stand in a path, a topic key, a container name, a
/// cgroup and a guest's command line without quoting, so nothing can be injected through it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a name: use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit")]
pub struct BadName {
    /// The refused text, cut to 80 characters.
    pub given: String,
}

impl Name {
    /// The longest name, in characters.
    pub const MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

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
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = text.len() <= Self::MAX
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || c == '-' || c == '_');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName {
                given: text.chars().take(80).collect(),
            })
        }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh one, ordered by time (UUID version 7).
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
    /// One attempt at one trial. A trial that is tried again has a new attempt; a RUN that is sent again keeps it.
    AttemptId
}
uuid_id! {
    /// One message. A reply names the message that it answers.
    MessageId
}

/// The generation of a controller, milliseconds since 1970 at its start: of two controllers of one name the one with the higher epoch is
/// alive, and the other is a ghost whose commands are refused.
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
    fn names_that_are_safe_everywhere() {
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
    fn a_bad_name_in_json_is_refused() {
        let error = serde_json::from_str::<Name>("\"../x\"").unwrap_err();
        assert!(error.to_string().contains("is not a name"), "{error}");
    }
}
