//! Where the load goes and what a right reply looks like.

use std::net::SocketAddr;
use std::sync::Arc;

/// A service under load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Address and port; names are looked up before, so that no engine ever waits for a resolver.
    pub address: SocketAddr,
    /// Path and query of the request, beginning with `/`.
    pub path: String,
    /// What every reply is checked against.
    pub expect: Expect,
}

impl Target {
    /// The address as people write it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

/// What a reply must be to count as a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: BodyRule,
}

/// What the body of a reply must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyRule {
    /// Anything.
    Any,
    /// Any bytes, but so many of them.
    Length(u64),
    /// One byte so many times: each byte of each reply is compared.
    Repeat {
        /// The byte.
        byte: u8,
        /// How often it comes.
        count: u64,
    },
    /// Just these bytes.
    Exact(Arc<[u8]>),
    /// These bytes first, then anything.
    Begins(Arc<[u8]>),
    /// What a judge says of the whole body, which is kept until it is complete.
    Judged(Judge),
}

/// What a judge does.
type Judgement = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Says whether a whole body is right: for replies that differ from one to the next.
#[derive(Clone)]
pub struct Judge(Arc<Judgement>);

impl Judge {
    /// A judge by a function. It runs on the engine's thread, so it has to be quick.
    pub fn new(judge: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// Whether a body is right.
    #[must_use]
    pub fn allows(&self, body: &[u8]) -> bool {
        (self.0)(body)
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}

/// Two judges are equal if they are the same one.
impl PartialEq for Judge {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Judge {}

impl BodyRule {
    /// The length that the body must have, if the rule names one.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Any | Self::Begins(_) | Self::Judged(_) => None,
            Self::Length(count) | Self::Repeat { count, .. } => Some(*count),
            Self::Exact(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Whether a body of this length follows the rule, once its bytes do.
    #[must_use]
    pub fn allows_length(&self, length: u64) -> bool {
        match self {
            Self::Begins(bytes) => length >= bytes.len() as u64,
            rule => rule.length().is_none_or(|right| right == length),
        }
    }

    /// Whether a piece of the body that comes after `at` others follows the rule; a surplus is a matter of the length.
    #[must_use]
    pub fn allows(&self, piece: &[u8], at: u64) -> bool {
        match self {
            Self::Any | Self::Length(_) | Self::Judged(_) => true,
            // Without an early end the loop runs on whole vector registers.
            Self::Repeat { byte, .. } => piece.iter().fold(0, |odd, b| odd | (b ^ byte)) == 0,
            Self::Exact(bytes) | Self::Begins(bytes) => {
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
    fn one_wrong_byte_anywhere_is_seen() {
        let right = vec![b'A'; 1000];
        for rule in [
            BodyRule::Repeat {
                byte: b'A',
                count: 1000,
            },
            BodyRule::Exact(right.clone().into()),
            BodyRule::Begins(right.clone().into()),
        ] {
            let mut body = right.clone();
            assert!(rule.allows(&body, 0) && rule.allows(&body[7..], 7));
            for at in [0, 1, 500, 999] {
                body[at] = b'B';
                assert!(!rule.allows(&body, 0), "{rule:?}");
                body[at] = b'A';
            }
        }
    }

    #[test]
    fn a_beginning_wants_no_end() {
        let rule = BodyRule::Begins(b"{\"id\":".as_slice().into());
        assert!(rule.allows(b"{\"id\":7}", 0) && rule.allows(b"d\":7}", 3) && rule.allows(b"}", 7));
        assert!(rule.allows_length(8) && !rule.allows_length(5));
        let exact = BodyRule::Exact(b"ok".as_slice().into());
        assert!(exact.allows_length(2) && !exact.allows_length(3) && !exact.allows(b"no", 0));
    }
}
