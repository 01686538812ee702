//! One request as it goes over the wire, and what its reply must be.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::LoadError;
use super::target::{Expect, Target};

/// A request that an engine sends, once or many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where it goes.
    pub address: SocketAddr,
    /// What it is, as a place in the labels of the load.
    pub label: u16,
    /// All its bytes, of HTTP/1.1: head, empty line and body. [`Message`] makes them.
    pub bytes: Arc<[u8]>,
    /// What its reply is checked against.
    pub expect: Expect,
}

/// What requests are, for tables and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name among the calls of the load, e.g. `login`; empty where the load has only one.
    pub name: String,
    /// Where they go, e.g. `http://10.0.0.2:8080/`.
    pub url: String,
}

/// The parts of a request of HTTP/1.1.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The method, in capitals. HEAD has no place here, as its replies announce bodies that do not come.
    pub method: &'a str,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// Further header fields; Host, User-Agent, Accept, Connection and Content-Length are there without them.
    pub fields: &'a [(&'a str, &'a str)],
    /// The body; empty: none.
    pub body: &'a [u8],
    /// `false` asks the server to close the connection after its reply.
    pub keep_alive: bool,
}

impl<'a> Message<'a> {
    /// A GET.
    #[must_use]
    pub fn get(path: &'a str, keep_alive: bool) -> Self {
        Self {
            method: "GET",
            path,
            fields: &[],
            body: &[],
            keep_alive,
        }
    }

    /// The bytes of the request.
    ///
    /// # Errors
    /// [`LoadError::Path`] and [`LoadError::Field`], for what would break the request apart.
    pub fn to_bytes(&self, host: SocketAddr) -> Result<Vec<u8>, LoadError> {
        if !self.path.starts_with('/') || !self.path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(LoadError::Path(self.path.to_owned()));
        }
        if self.method.is_empty() || !self.method.bytes().all(|b| b.is_ascii_uppercase()) || self.method == "HEAD" {
            return Err(LoadError::Field(self.method.to_owned()));
        }
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: jung/{}\r\nAccept: */*\r\nConnection: {connection}\r\n",
            self.method,
            self.path,
            env!("CARGO_PKG_VERSION"),
        );
        for (name, value) in self.fields {
            let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if name.is_empty() || !name.bytes().all(token) || value.bytes().any(|b| b.is_ascii_control()) {
                return Err(LoadError::Field(format!("{name}: {value}")));
            }
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method, "POST" | "PUT" | "PATCH") {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body);
        Ok(bytes)
    }
}

impl Call {
    /// The one call of a load on one target.
    pub(super) fn of(target: &Target, keep_alive: bool) -> Result<Self, LoadError> {
        Ok(Self {
            address: target.address,
            label: 0,
            bytes: Message::get(&target.path, keep_alive).to_bytes(target.address)?.into(),
            expect: target.expect.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_request_is_refused() {
        let host = ([127, 0, 0, 1], 80).into();
        for path in ["", "x", "/a b", "/a\r\nX: y", "/ä"] {
            let refused = Message::get(path, true).to_bytes(host);
            assert!(matches!(refused, Err(LoadError::Path(p)) if p == path));
        }
        for method in ["", "get", "HEAD", "GET /"] {
            let message = Message {
                method,
                ..Message::get("/", true)
            };
            assert!(matches!(message.to_bytes(host), Err(LoadError::Field(_))), "{method}");
        }
        for field in [("", "x"), ("A b", "x"), ("A", "x\r\nB: y")] {
            let message = Message {
                fields: &[field],
                ..Message::get("/", true)
            };
            assert!(matches!(message.to_bytes(host), Err(LoadError::Field(_))), "{field:?}");
        }
    }

    #[test]
    fn a_body_is_announced() {
        let message = Message {
            method: "POST",
            fields: &[("Content-Type", "application/json")],
            body: b"{}",
            ..Message::get("/users", false)
        };
        let text = String::from_utf8(message.to_bytes(([127, 0, 0, 1], 80).into()).unwrap()).unwrap();
        assert!(
            text.starts_with("POST /users HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"),
            "{text}"
        );
        assert!(
            text.ends_with("Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
            "{text}"
        );
    }
}
