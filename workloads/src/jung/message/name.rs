//! Names of users and devices, checked, and the password.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name, bytes.
const LONGEST: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ -")]
pub struct BadName;

/// Whether a text may be a name.
fn check(text: String) -> Result<String, BadName> {
    let fits = (1..=LONGEST).contains(&text.len());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if fits && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(BadName)
    }
}

/// What [`UserName`] and [`DeviceId`] have in common.
pub trait Name: TryFrom<String, Error = BadName> {
    /// What it names, for messages.
    const WHAT: &'static str;
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Name for $name {
            const WHAT: &'static str = $what;
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                check(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a user, unique in the system.
    UserName, "user"
}

name! {
    /// The identity of a device, unique in the system.
    DeviceId, "device"
}

/// A password as the user typed it; its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl Password {
    /// Compares without telling by the time taken how many bytes were right.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let differs = mine.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b));
        mine.len() == theirs.len() && std::hint::black_box(differs) == 0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["u", "user-01", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(UserName::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ü", "a/b", "a\n", "..%2f", &"x".repeat(65)] {
            assert_eq!(DeviceId::try_from(bad.to_owned()), Err(BadName), "{bad:?}");
        }
    }

    #[test]
    fn passwords_match_only_in_full_and_stay_out_of_logs() {
        let secret = Password("secret".into());
        assert!(secret.matches(&Password("secret".into())));
        for wrong in ["", "secre", "secret1", "Secret"] {
            assert!(!secret.matches(&Password(wrong.into())), "{wrong}");
        }
        assert!(!format!("{secret:?}").contains("secret"));
    }
}
