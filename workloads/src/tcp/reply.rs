//! Every reply the service can give, built once before the first request.

/// The statuses the service answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200: the body of A's.
    Ok,
    /// 400: not HTTP, or HTTP that two readers could read differently.
    BadRequest,
    /// 404: a path other than `/`.
    NotFound,
    /// 405: a method other than GET, HEAD and POST.
    MethodNotAllowed,
    /// 413: a body over the limit.
    BodyTooLarge,
    /// 431: a head over the limit.
    HeadTooLarge,
    /// 501: a transfer coding other than chunked.
    NotImplemented,
    /// 505: not HTTP/1.0 or HTTP/1.1.
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

    /// Status line text behind the version, with the fields that only this status has.
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

/// What the reply says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It stays open, as HTTP/1.1 has it without a word.
    Open,
    /// It stays open, and a client of HTTP/1.0 is told.
    KeepAlive,
    /// It is closed.
    Close,
}

/// One reply out of the table, one byte wide so that a queue of them is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyId(u8);

impl ReplyId {
    /// `100 Continue`.
    pub const CONTINUE: Self = Self(u8::MAX);

    /// The reply of a status, form and method.
    #[must_use]
    pub fn of(status: Status, form: Form, head_only: bool) -> Self {
        Self((status as u8 * 3 + form as u8) * 2 + u8::from(head_only))
    }
}

/// The table of replies.
#[derive(Debug)]
pub struct Replies {
    /// Whole replies by status and form.
    whole: Vec<Vec<u8>>,
    /// Length of the head of each.
    heads: Vec<usize>,
}

impl Replies {
    /// Builds the table for a body of `reply_bytes` letters.
    #[must_use]
    pub fn new(reply_bytes: usize) -> Self {
        let (mut whole, mut heads) = (Vec::new(), Vec::new());
        for status in Status::ALL {
            let body = status.body(reply_bytes);
            for form in [Form::Open, Form::KeepAlive, Form::Close] {
                let mut reply = head(status, form, body.len()).into_bytes();
                heads.push(reply.len());
                reply.extend_from_slice(&body);
                whole.push(reply);
            }
        }
        Self { whole, heads }
    }

    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self, id: ReplyId) -> &[u8] {
        if id == ReplyId::CONTINUE {
            return b"HTTP/1.1 100 Continue\r\n\r\n";
        }
        let at = usize::from(id.0 / 2);
        let whole = &self.whole[at];
        if id.0.is_multiple_of(2) {
            whole
        } else {
            &whole[..self.heads[at]]
        }
    }
}

fn head(status: Status, form: Form, length: usize) -> String {
    let connection = match form {
        Form::Open => "",
        Form::KeepAlive => "Connection: keep-alive\r\n",
        Form::Close => "Connection: close\r\n",
    };
    let line = status.line();
    format!("HTTP/1.1 {line}Content-Type: text/plain\r\nContent-Length: {length}\r\n{connection}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_is_http_and_as_long_as_it_says() {
        let replies = Replies::new(1000);
        for status in Status::ALL {
            for form in [Form::Open, Form::KeepAlive, Form::Close] {
                let whole = replies.bytes(ReplyId::of(status, form, false));
                let head = replies.bytes(ReplyId::of(status, form, true));
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
                assert_eq!(field("Connection") == Some(b"close"), form == Form::Close);
            }
        }
    }

    #[test]
    fn the_body_is_all_a() {
        let replies = Replies::new(3);
        assert!(
            replies
                .bytes(ReplyId::of(Status::Ok, Form::Open, false))
                .ends_with(b"\r\n\r\nAAA")
        );
    }
}
