//! Prepared requests and their expected replies.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::LoadError;
use super::target::{Expect, Target};

/// A prepared request that an engine can send any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Destination address.
    pub address: SocketAddr,
    /// Index of its label among the labels of the load.
    pub label: u16,
    /// The complete HTTP/1.1 request, built by [`Message`].
    pub bytes: Arc<[u8]>,
    /// The expected reply.
    pub expect: Expect,
}

/// Describes requests in tables and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Name of the request type, e.g. `login`; empty if the load has only one.
    pub name: String,
    /// URL, e.g. `http://10.0.0.2:8080/`.
    pub url: String,
}

impl Label {
    /// The label of a load with only one type of request.
    pub(super) fn unnamed(url: String) -> Self {
        Self {
            name: String::new(),
            url,
        }
    }
}

/// The parts of an HTTP/1.1 request.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Method in upper case. HEAD is not supported, since the length of its replies does not apply to a body.
    pub method: &'a str,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// Header fields in addition to Host, User-Agent, Accept, Connection and Content-Length.
    pub fields: &'a [(&'a str, &'a str)],
    /// Body; empty: none.
    pub body: &'a [u8],
    /// `false`: asks the server to close the connection after the reply.
    pub keep_alive: bool,
}

impl<'a> Message<'a> {
    /// A GET request.
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

    /// Encodes the request.
    ///
    /// # Errors
    /// [`LoadError::Path`] and [`LoadError::Field`] for text that would corrupt the request.
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
    /// The request of a load with a single target.
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
    fn text_that_would_corrupt_the_request_is_refused() {
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
    fn a_body_has_its_content_length() {
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
