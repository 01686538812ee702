//! Validated names of users and devices, and the password.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum length of a name in bytes.
const MAX_NAME: usize = 64;

/// The name is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid name: expected 1 to {MAX_NAME} of the characters A-Z a-z 0-9 . _ -")]
pub struct InvalidName;

fn validate(text: String) -> Result<String, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(InvalidName)
    }
}

/// Common interface of [`UserName`] and [`DeviceId`].
pub trait Name: TryFrom<String, Error = InvalidName> {
    /// What it names, for error messages.
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
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                validate(text).map(Self)
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
    /// The id of a device, unique in the system.
    DeviceId, "device"
}

/// A plain-text password; its `Debug` output is redacted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl Password {
    /// Compares in constant time for passwords of the same length.
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
    fn names_are_validated() {
        for good in ["u", "user-01", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(UserName::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ü", "a/b", "a\n", "..%2f", &"x".repeat(65)] {
            assert_eq!(DeviceId::try_from(bad.to_owned()), Err(InvalidName), "{bad:?}");
        }
    }

    #[test]
    fn passwords_match_only_in_full_and_are_redacted() {
        let secret = Password("secret".into());
        assert!(secret.matches(&Password("secret".into())));
        for wrong in ["", "secre", "secret1", "Secret"] {
            assert!(!secret.matches(&Password(wrong.into())), "{wrong}");
        }
        assert!(!format!("{secret:?}").contains("secret"));
    }
}
