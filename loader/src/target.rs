//! The target of a load and the expected replies.

use std::net::SocketAddr;
use std::sync::Arc;

/// A service under load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Address and port; already resolved, so that engines never wait for a resolver.
    pub address: SocketAddr,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// The expected reply.
    pub expect: Expect,
}

impl Target {
    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

/// The expected reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Status code.
    pub status: StatusRule,
    /// Body.
    pub body: BodyRule,
    /// Whether replies end with their header whatever it announces, as those to HEAD do.
    pub header_only: bool,
}

impl Expect {
    /// Status 200 with this body.
    #[must_use]
    pub const fn ok(body: BodyRule) -> Self {
        Self {
            status: StatusRule::One(200),
            body,
            header_only: false,
        }
    }
}

/// The expected status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusRule {
    /// This one.
    One(u16),
    /// One of these.
    Any(Arc<[u16]>),
}

impl StatusRule {
    /// Whether a status is one of them.
    #[must_use]
    pub fn matches(&self, status: u16) -> bool {
        match self {
            Self::One(expected) => *expected == status,
            Self::Any(all) => all.contains(&status),
        }
    }
}

/// The expected body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyRule {
    /// Any body.
    Any,
    /// Any body of this length, bytes.
    Length(u64),
    /// A repeated byte.
    Repeat {
        /// The byte.
        byte: u8,
        /// Number of repetitions.
        count: u64,
    },
    /// Exactly these bytes.
    Exact(Arc<[u8]>),
    /// Any body that begins with these bytes.
    Prefix(Arc<[u8]>),
    /// A body that is buffered and passed to a validator when it is complete.
    Validated(BodyValidator),
}

type Validate = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Validates complete bodies, for replies that are not all the same.
#[derive(Clone)]
pub struct BodyValidator {
    validate: Arc<Validate>,
    length: Option<u64>,
}

impl BodyValidator {
    /// A validator that calls a function. It runs on the engine's thread and must be fast.
    pub fn new(validate: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self {
            validate: Arc::new(validate),
            length: None,
        }
    }

    /// The same for bodies that must have this length, if any.
    #[must_use]
    pub fn with_length(self, length: Option<u64>) -> Self {
        Self { length, ..self }
    }

    /// Whether a body is valid.
    #[must_use]
    pub fn is_valid(&self, body: &[u8]) -> bool {
        (self.validate)(body)
    }
}

impl std::fmt::Debug for BodyValidator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyValidator")
    }
}

/// Validators are equal if they are the same object.
impl PartialEq for BodyValidator {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.validate, &other.validate) && self.length == other.length
    }
}

impl Eq for BodyValidator {}

impl BodyRule {
    /// The required length, if any.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Any | Self::Prefix(_) => None,
            Self::Validated(validator) => validator.length,
            Self::Length(count) | Self::Repeat { count, .. } => Some(*count),
            Self::Exact(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Whether the length of a body matches.
    #[must_use]
    pub fn matches_length(&self, length: u64) -> bool {
        match self {
            Self::Prefix(bytes) => length >= bytes.len() as u64,
            rule => rule.length().is_none_or(|required| required == length),
        }
    }

    /// Whether a piece of the body at offset `at` matches, regardless of excess bytes.
    #[must_use]
    pub fn matches(&self, piece: &[u8], at: u64) -> bool {
        match self {
            Self::Any | Self::Length(_) | Self::Validated(_) => true,
            // Without an early exit the loop is vectorized.
            Self::Repeat { byte, .. } => piece.iter().fold(0, |diff, b| diff | (b ^ byte)) == 0,
            Self::Exact(bytes) | Self::Prefix(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
                let both = rest.len().min(piece.len());
                rest[..both] == piece[..both]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_wrong_byte_is_detected() {
        let correct = vec![b'A'; 1000];
        for rule in [
            BodyRule::Repeat {
                byte: b'A',
                count: 1000,
            },
            BodyRule::Exact(correct.clone().into()),
            BodyRule::Prefix(correct.clone().into()),
        ] {
            let mut body = correct.clone();
            assert!(rule.matches(&body, 0) && rule.matches(&body[7..], 7));
            for at in [0, 1, 500, 999] {
                body[at] = b'B';
                assert!(!rule.matches(&body, 0), "{rule:?}");
                body[at] = b'A';
            }
        }
    }

    #[test]
    fn a_prefix_matches_any_continuation() {
        let rule = BodyRule::Prefix(b"{\"id\":".as_slice().into());
        assert!(rule.matches(b"{\"id\":7}", 0) && rule.matches(b"d\":7}", 3) && rule.matches(b"}", 7));
        assert!(rule.matches_length(8) && !rule.matches_length(5));
        let exact = BodyRule::Exact(b"ok".as_slice().into());
        assert!(exact.matches_length(2) && !exact.matches_length(3) && !exact.matches(b"no", 0));
    }
}
