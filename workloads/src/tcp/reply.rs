//! The table of all replies, built at startup.

/// The statuses of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200: the body of letters A.
    Ok,
    /// 400: invalid or ambiguous HTTP.
    BadRequest,
    /// 404: a path other than `/`.
    NotFound,
    /// 405: a method other than GET, HEAD and POST.
    MethodNotAllowed,
    /// 413: the body exceeds the limit.
    BodyTooLarge,
    /// 431: the head exceeds the limit.
    HeadTooLarge,
    /// 501: a transfer coding other than chunked.
    NotImplemented,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

impl Status {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::HeadTooLarge,
        Self::NotImplemented,
        Self::VersionNotSupported,
    ];

    /// The status line after the version, with the header fields specific to this status.
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK\r\n",
            Self::BadRequest => "400 Bad Request\r\n",
            Self::NotFound => "404 Not Found\r\n",
            Self::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD, POST\r\n",
            Self::BodyTooLarge => "413 Content Too Large\r\n",
            Self::HeadTooLarge => "431 Request Header Fields Too Large\r\n",
            Self::NotImplemented => "501 Not Implemented\r\n",
            Self::VersionNotSupported => "505 HTTP Version Not Supported\r\n",
        }
    }

    fn body(self, reply_bytes: usize) -> Vec<u8> {
        match self {
            Self::Ok => vec![b'A'; reply_bytes],
            other => {
                let reason = other.line().split('\r').next().unwrap_or_default();
                format!("{reason}\n").into_bytes()
            }
        }
    }
}

/// The `Connection` header of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionHeader {
    /// None: the connection stays open (the default in HTTP/1.1).
    None,
    /// `keep-alive`, for HTTP/1.0 clients.
    KeepAlive,
    /// `close`.
    Close,
}

/// Index of a reply in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyId(u8);

impl ReplyId {
    /// `100 Continue`.
    pub const CONTINUE: Self = Self(u8::MAX);

    /// The reply for a status, `Connection` header and method.
    #[must_use]
    pub fn of(status: Status, connection: ConnectionHeader, head_only: bool) -> Self {
        Self((status as u8 * 3 + connection as u8) * 2 + u8::from(head_only))
    }
}

/// The table of replies.
#[derive(Debug)]
pub struct Replies {
    /// Complete replies by status and `Connection` header.
    replies: Vec<Vec<u8>>,
    /// Length of the head of each.
    heads: Vec<usize>,
}

impl Replies {
    /// Builds the table for a body of `reply_bytes` bytes.
    #[must_use]
    pub fn new(reply_bytes: usize) -> Self {
        let (mut replies, mut heads) = (Vec::new(), Vec::new());
        for status in Status::ALL {
            let body = status.body(reply_bytes);
            for connection in [
                ConnectionHeader::None,
                ConnectionHeader::KeepAlive,
                ConnectionHeader::Close,
            ] {
                let mut reply = head(status, connection, body.len()).into_bytes();
                heads.push(reply.len());
                reply.extend_from_slice(&body);
                replies.push(reply);
            }
        }
        Self { replies, heads }
    }

    /// The bytes of a reply.
    #[must_use]
    pub fn bytes(&self, id: ReplyId) -> &[u8] {
        if id == ReplyId::CONTINUE {
            return b"HTTP/1.1 100 Continue\r\n\r\n";
        }
        let at = usize::from(id.0 / 2);
        let reply = &self.replies[at];
        if id.0.is_multiple_of(2) {
            reply
        } else {
            &reply[..self.heads[at]]
        }
    }
}

fn head(status: Status, connection: ConnectionHeader, length: usize) -> String {
    let field = match connection {
        ConnectionHeader::None => "",
        ConnectionHeader::KeepAlive => "Connection: keep-alive\r\n",
        ConnectionHeader::Close => "Connection: close\r\n",
    };
    let line = status.line();
    format!("HTTP/1.1 {line}Content-Type: text/plain\r\nContent-Length: {length}\r\n{field}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_valid_http_with_the_right_length() {
        let replies = Replies::new(1000);
        for status in Status::ALL {
            for connection in [
                ConnectionHeader::None,
                ConnectionHeader::KeepAlive,
                ConnectionHeader::Close,
            ] {
                let whole = replies.bytes(ReplyId::of(status, connection, false));
                let head = replies.bytes(ReplyId::of(status, connection, true));
                let mut fields = [httparse::EMPTY_HEADER; 8];
                let mut response = httparse::Response::new(&mut fields);
                let len = response.parse(whole).unwrap().unwrap();
                assert_eq!(len, head.len());
                assert!(status.line().starts_with(&response.code.unwrap().to_string()));
                let field = |name| response.headers.iter().find(|f| f.name == name).map(|f| f.value);
                let length: usize = std::str::from_utf8(field("Content-Length").unwrap())
                    .unwrap()
                    .parse()
                    .unwrap();
                assert_eq!(whole.len(), len + length);
                assert_eq!(
                    field("Connection") == Some(b"close"),
                    connection == ConnectionHeader::Close
                );
            }
        }
    }

    #[test]
    fn body_consists_of_letters_a() {
        let replies = Replies::new(3);
        assert!(
            replies
                .bytes(ReplyId::of(Status::Ok, ConnectionHeader::None, false))
                .ends_with(b"\r\n\r\nAAA")
        );
    }
}
