//! Prepared requests and their expected replies.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::LoadError;
use super::target::Expect;
use super::template::Template;

/// A prepared request that an engine can send any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Destination address.
    pub address: SocketAddr,
    /// Index of its label among the labels of the load.
    pub label: u16,
    /// The HTTP/1.1 request, built by [`Message`].
    pub bytes: CallBytes,
    /// The expected reply.
    pub expect: Expect,
}

/// The bytes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallBytes {
    /// Always the same.
    Fixed(Arc<[u8]>),
    /// Different for each request.
    Template(Arc<Template>),
}

impl CallBytes {
    /// Whether any of these calls is made from a template.
    pub(super) fn any_template(calls: &[Call]) -> bool {
        calls.iter().any(|call| matches!(call.bytes, Self::Template(_)))
    }
}

impl From<Vec<u8>> for CallBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Fixed(bytes.into())
    }
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
    /// Method in upper case; with HEAD, the call must expect replies that end with their header.
    pub method: &'a str,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// Header fields in addition to Host, Connection and Content-Length; User-Agent and Accept replace the defaults.
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

    /// Encodes the request; `host` is the value of the header field `Host`.
    ///
    /// # Errors
    /// [`LoadError::Path`] and [`LoadError::Field`] for text that would corrupt the request.
    pub fn to_bytes(&self, host: impl Display) -> Result<Vec<u8>, LoadError> {
        let mut head = self.head(host)?;
        if self.has_body() {
            // Writing to a string cannot fail.
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body);
        Ok(bytes)
    }

    /// Encodes the request as a template, whose placeholders may be in path, field values and body.
    ///
    /// # Errors
    /// As [`Self::to_bytes`], and [`LoadError::Placeholder`].
    pub fn to_template(&self, host: impl Display, seed: u64) -> Result<Template, LoadError> {
        let body = self.has_body().then_some(self.body);
        Template::new(self.head(host)?.as_bytes(), body, seed)
    }

    fn has_body(&self) -> bool {
        !self.body.is_empty() || matches!(self.method, "POST" | "PUT" | "PATCH")
    }

    /// Request line and header fields, without `Content-Length` and the empty line.
    fn head(&self, host: impl Display) -> Result<String, LoadError> {
        if !self.path.starts_with('/') || !self.path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(LoadError::Path(self.path.to_owned()));
        }
        if self.method.is_empty() || !self.method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(LoadError::Field(self.method.to_owned()));
        }
        let host = host.to_string();
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(LoadError::Field(format!("Host: {host}")));
        }
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        let agent = concat!("jung/", env!("CARGO_PKG_VERSION"));
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        let is_given = |name: &str| self.fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let defaults = [("User-Agent", agent), ("Accept", "*/*"), ("Connection", connection)];
        for (name, value) in defaults.into_iter().filter(|(name, _)| !is_given(name)) {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        for (name, value) in self.fields {
            check_field(name, value)?;
            let _ = write!(head, "{name}: {value}\r\n");
        }
        Ok(head)
    }
}

/// Header fields that the load generator sets itself, since they frame a message or control its connection.
pub const OWN_FIELDS: [&str; 8] = [
    "Host",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Keep-Alive",
    "Upgrade",
    "Expect",
    "TE",
];

/// Checks a header field.
///
/// # Errors
/// [`LoadError::Field`]: it would corrupt the request, or is one of [`OWN_FIELDS`].
pub fn check_field(name: &str, value: &str) -> Result<(), LoadError> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_own = OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name));
    let is_valid = !name.is_empty() && name.bytes().all(token) && !value.bytes().any(|b| b.is_ascii_control());
    if is_own || !is_valid {
        return Err(LoadError::Field(format!("{name}: {value}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_corrupt_the_request_is_refused() {
        let host = "127.0.0.1:80";
        for path in ["", "x", "/a b", "/a\r\nX: y", "/ä"] {
            let refused = Message::get(path, true).to_bytes(host);
            assert!(matches!(refused, Err(LoadError::Path(p)) if p == path));
        }
        for method in ["", "get", "GET /"] {
            let message = Message {
                method,
                ..Message::get("/", true)
            };
            assert!(matches!(message.to_bytes(host), Err(LoadError::Field(_))), "{method}");
        }
        for field in [("", "x"), ("A b", "x"), ("A", "x\r\nB: y"), ("content-length", "5")] {
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
        let text = String::from_utf8(message.to_bytes("127.0.0.1:80").unwrap()).unwrap();
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
