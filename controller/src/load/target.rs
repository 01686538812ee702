//! Where the load goes and what a right reply looks like.

use std::net::SocketAddr;

use super::error::LoadError;

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

/// What a reply must be to count as a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: BodyRule,
}

/// What the body of a reply must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl BodyRule {
    /// The length that the body must have, if the rule names one.
    #[must_use]
    pub fn length(self) -> Option<u64> {
        match self {
            Self::Any => None,
            Self::Length(count) | Self::Repeat { count, .. } => Some(count),
        }
    }

    /// Whether a piece of the body follows the rule.
    #[must_use]
    pub fn allows(self, piece: &[u8]) -> bool {
        match self {
            // Without an early end the loop runs on whole vector registers.
            Self::Repeat { byte, .. } => piece.iter().fold(0, |odd, b| odd | (b ^ byte)) == 0,
            _ => true,
        }
    }
}

impl Target {
    /// The bytes of a request, the same for every one of a run.
    pub fn request(&self, keep_alive: bool) -> Result<Vec<u8>, LoadError> {
        if !self.path.starts_with('/') || !self.path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(LoadError::Path(self.path.clone()));
        }
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let text = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: jung/{}\r\nAccept: */*\r\nConnection: {connection}\r\n\r\n",
            self.path,
            self.address,
            env!("CARGO_PKG_VERSION"),
        );
        Ok(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_would_break_the_request_is_refused() {
        let expect = Expect {
            status: 200,
            body: BodyRule::Any,
        };
        for path in ["", "x", "/a b", "/a\r\nX: y", "/ä"] {
            let target = Target {
                address: ([127, 0, 0, 1], 1).into(),
                path: path.into(),
                expect,
            };
            assert!(matches!(target.request(true), Err(LoadError::Path(p)) if p == path));
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_seen() {
        let rule = BodyRule::Repeat { byte: b'A', count: 0 };
        let mut body = vec![b'A'; 1000];
        assert!(rule.allows(&body));
        for at in [0, 1, 500, 999] {
            body[at] = b'B';
            assert!(!rule.allows(&body));
            body[at] = b'A';
        }
    }
}
