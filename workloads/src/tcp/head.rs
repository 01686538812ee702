//! Parses request heads: everything up to the empty line.

use std::mem::MaybeUninit;

use super::body::Body;
use super::reply::Status;

/// Maximum size of a head in bytes; a larger one is refused with 431.
pub const MAX_HEAD: usize = 8 * 1024;
/// Maximum number of header fields.
const MAX_FIELDS: usize = 64;
/// Maximum size of a body in bytes; a larger one is refused with 413.
pub const MAX_BODY: u64 = 64 * 1024 * 1024;

/// The parsed head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Length of the head in bytes, including the empty line.
    pub len: usize,
    /// The status of the reply, which is sent once the body is read.
    pub status: Status,
    /// Whether the method is HEAD: the reply has no body.
    pub head_only: bool,
    /// Whether the connection stays open after the reply.
    pub keep_alive: bool,
    /// Whether the version is HTTP/1.0, where keep-alive must be announced.
    pub http_1_0: bool,
    /// The body, if any.
    pub body: Option<Body>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Result of parsing the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// The head is incomplete.
    Incomplete,
    /// A complete head.
    Complete(Head),
    /// An invalid head: reply with this status and close the connection.
    Refused(Status),
}

/// Parses a head at the start of `input`.
///
/// Only complete lines within the first [`MAX_HEAD`] bytes are considered, so that the result does not
/// depend on the packet boundaries.
#[must_use]
pub fn parse(input: &[u8]) -> Parsed {
    let window = &input[..input.len().min(MAX_HEAD)];
    let lines = window.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&window[..lines], &mut fields) {
        Ok(httparse::Status::Complete(len)) => read(&request, len),
        Ok(httparse::Status::Partial) if window.len() == MAX_HEAD => Parsed::Refused(Status::HeadTooLarge),
        Ok(httparse::Status::Partial) => Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => Parsed::Refused(Status::HeadTooLarge),
        Err(httparse::Error::Version) => Parsed::Refused(Status::VersionNotSupported),
        Err(_) => Parsed::Refused(Status::BadRequest),
    }
}

/// The header fields that affect how a request is handled.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

fn read(request: &httparse::Request<'_, '_>, len: usize) -> Parsed {
    let http_1_0 = request.version == Some(0);
    let fields = match Fields::read(request.headers) {
        Ok(fields) => fields,
        Err(status) => return Parsed::Refused(status),
    };
    if fields.hosts > 1 || (fields.hosts == 0 && !http_1_0) || (http_1_0 && fields.chunked) {
        return Parsed::Refused(Status::BadRequest);
    }
    let body = match (fields.chunked, fields.length) {
        (true, Some(_)) => return Parsed::Refused(Status::BadRequest),
        (_, Some(length)) if length > MAX_BODY => return Parsed::Refused(Status::BodyTooLarge),
        (true, None) => Some(Body::chunked()),
        (false, Some(length)) if length > 0 => Some(Body::Length(length)),
        (false, _) => None,
    };
    let method = request.method.unwrap_or_default();
    Parsed::Complete(Head {
        len,
        status: status(method, request.path.unwrap_or_default()),
        head_only: method == "HEAD",
        keep_alive: if http_1_0 {
            fields.keep_alive && !fields.close
        } else {
            !fields.close
        },
        http_1_0,
        expects_continue: fields.expects_continue && !http_1_0 && body.is_some(),
        body,
    })
}

impl Fields {
    fn read(headers: &[httparse::Header<'_>]) -> Result<Self, Status> {
        let mut fields = Self::default();
        for header in headers {
            let (name, value) = (header.name, header.value);
            if name.eq_ignore_ascii_case("host") {
                fields.hosts += 1;
            } else if name.eq_ignore_ascii_case("connection") {
                fields.close |= has_token(value, "close");
                fields.keep_alive |= has_token(value, "keep-alive");
            } else if name.eq_ignore_ascii_case("content-length") {
                fields.add_length(value)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if fields.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Status::NotImplemented);
                }
                fields.chunked = true;
            } else if name.eq_ignore_ascii_case("expect") {
                fields.expects_continue |= has_token(value, "100-continue");
            }
        }
        Ok(fields)
    }

    /// Adds a Content-Length. Different values are refused because parsers would disagree on the end of the body.
    fn add_length(&mut self, value: &[u8]) -> Result<(), Status> {
        let value = value.trim_ascii();
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Status::BadRequest);
        }
        let length = std::str::from_utf8(value)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(u64::MAX);
        if self.length.is_some_and(|known| known != length) {
            return Err(Status::BadRequest);
        }
        self.length = Some(length);
        Ok(())
    }
}

fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|b| *b == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn status(method: &str, target: &str) -> Status {
    if !matches!(method, "GET" | "HEAD" | "POST") {
        return Status::MethodNotAllowed;
    }
    let path = match target.strip_prefix("http://") {
        Some(absolute) => absolute.find(['/', '?']).map_or("/", |at| &absolute[at..]),
        None => target,
    };
    if path == "/" || path.starts_with("/?") || path.starts_with('?') {
        Status::Ok
    } else {
        Status::NotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Head {
        match parse(text.as_bytes()) {
            Parsed::Complete(head) => head,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    fn refused(text: &str) -> Status {
        match parse(text.as_bytes()) {
            Parsed::Refused(status) => status,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn keep_alive_depends_on_version_and_connection_header() {
        assert!(complete("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(complete("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    }

    #[test]
    fn status_depends_on_target_and_method() {
        for good in ["/", "/?x=1", "http://h/", "http://h", "http://h?x"] {
            assert_eq!(
                complete(&format!("GET {good} HTTP/1.1\r\nHost: h\r\n\r\n")).status,
                Status::Ok,
                "{good}"
            );
        }
        for missing in ["/x", "http://h/x", "*"] {
            assert_eq!(
                complete(&format!("GET {missing} HTTP/1.1\r\nHost: h\r\n\r\n")).status,
                Status::NotFound
            );
        }
        assert_eq!(
            complete("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n").status,
            Status::MethodNotAllowed
        );
        assert!(complete("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").head_only);
    }

    #[test]
    fn ambiguous_or_invalid_framing_is_refused() {
        let with = |fields: &str| refused(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"));
        assert_eq!(with("Content-Length: 1\r\nContent-Length: 2"), Status::BadRequest);
        assert_eq!(with("Content-Length: +1"), Status::BadRequest);
        assert_eq!(
            with("Content-Length: 1\r\nTransfer-Encoding: chunked"),
            Status::BadRequest
        );
        assert_eq!(with("Transfer-Encoding: gzip"), Status::NotImplemented);
        assert_eq!(with("Content-Length: 99999999999999999999999"), Status::BodyTooLarge);
        assert_eq!(with("Host: second"), Status::BadRequest);
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), Status::VersionNotSupported);
        assert_eq!(refused("\u{1}\u{2}nonsense\r\n"), Status::BadRequest);
    }

    #[test]
    fn oversized_head_is_refused() {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: h\r\nX: ");
        text.push_str(&"a".repeat(MAX_HEAD - text.len() - 1));
        assert_eq!(parse(text.as_bytes()), Parsed::Incomplete);
        text.push('a');
        assert_eq!(refused(&text), Status::HeadTooLarge);
        let many = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(refused(&many), Status::HeadTooLarge);
    }
}
