//! What replies must be: from the specification of a load to the rule that an engine applies.
//!
//! Status, length and an exact body are compared while the reply arrives. Anything else needs the whole body, which is kept until it is complete.

use protocol::load::{Expectation, Method};
use regex::bytes::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::LoadError;
use super::target::{BodyRule, BodyValidator, Expect, StatusRule};

/// The rule of an expectation about replies to a method.
///
/// # Errors
/// [`LoadError::Expect`].
pub fn rule(expectation: &Expectation, method: Method) -> Result<Expect, LoadError> {
    let status = match expectation.status.as_slice() {
        [only] => StatusRule::One(*only),
        all => StatusRule::Any(all.into()),
    };
    let header_only = method == Method::Head;
    if header_only && has_body(expectation) {
        return Err(invalid("a reply to HEAD", "has no body to be checked"));
    }
    Ok(Expect {
        status,
        body: body(expectation)?,
        header_only,
    })
}

/// Whether an expectation says anything about the body.
#[must_use]
pub fn has_body(expectation: &Expectation) -> bool {
    expectation.length.is_some() || expectation.body.is_some() || needs_whole(expectation)
}

fn needs_whole(expectation: &Expectation) -> bool {
    let Expectation {
        contains,
        regex,
        json,
        sha256,
        ..
    } = expectation;
    contains.is_some() || regex.is_some() || !json.is_empty() || sha256.is_some()
}

fn body(expectation: &Expectation) -> Result<BodyRule, LoadError> {
    if !needs_whole(expectation) {
        return Ok(match (&expectation.body, expectation.length) {
            (Some(body), _) => BodyRule::Exact(body.as_bytes().into()),
            (None, Some(length)) => BodyRule::Length(length),
            (None, None) => BodyRule::Any,
        });
    }
    let checks = Checks::of(expectation)?;
    let exact = expectation.body.as_ref().map(|body| body.len() as u64);
    let validator = BodyValidator::new(move |body| checks.hold(body));
    Ok(BodyRule::Validated(validator.with_length(expectation.length.or(exact))))
}

/// The checks of a whole body.
struct Checks {
    body: Option<Vec<u8>>,
    /// Finds a literal text; a `Regex` does it with vector instructions.
    contains: Option<Regex>,
    regex: Option<Regex>,
    json: Vec<(String, Value)>,
    sha256: Option<[u8; 32]>,
}

impl Checks {
    fn of(expectation: &Expectation) -> Result<Self, LoadError> {
        for pointer in expectation.json.keys() {
            check_pointer(pointer)?;
        }
        let literal = |text: &String| regex(&regex::escape(text));
        Ok(Self {
            body: expectation.body.clone().map(String::into_bytes),
            contains: expectation.contains.as_ref().map(literal).transpose()?,
            regex: expectation.regex.as_deref().map(regex).transpose()?,
            json: expectation.json.clone().into_iter().collect(),
            sha256: expectation.sha256.as_deref().map(digest).transpose()?,
        })
    }

    fn hold(&self, body: &[u8]) -> bool {
        self.body.as_ref().is_none_or(|expected| expected == body)
            && self.contains.as_ref().is_none_or(|literal| literal.is_match(body))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(body))
            && (self.json.is_empty() || self.json_holds(body))
            && self
                .sha256
                .is_none_or(|expected| Sha256::digest(body).as_slice() == expected)
    }

    fn json_holds(&self, body: &[u8]) -> bool {
        serde_json::from_slice::<Value>(body).is_ok_and(|json| {
            let mut checks = self.json.iter();
            checks.all(|(pointer, expected)| json.pointer(pointer).is_some_and(|found| is_same(found, expected)))
        })
    }
}

/// Whether two values are equal; numbers are by value, so that 1 and 1.0 are.
fn is_same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
}

/// A regular expression.
///
/// # Errors
/// [`LoadError::Expect`]: it cannot be compiled.
pub fn regex(text: &str) -> Result<Regex, LoadError> {
    Regex::new(text).map_err(|error| {
        // The last line of the message says what is wrong; the lines before it draw where.
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        invalid(
            format!("the regular expression {text:?}"),
            format!("does not compile: {why}"),
        )
    })
}

/// Checks a JSON pointer.
///
/// # Errors
/// [`LoadError::Expect`]: it is not one.
pub fn check_pointer(text: &str) -> Result<(), LoadError> {
    let escapes = text.split('~').skip(1);
    let is_escaped = escapes.into_iter().all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && is_escaped {
        return Ok(());
    }
    Err(invalid(
        format!("the JSON pointer {text:?}"),
        "must be empty or begin with /, and have ~0 for ~ and ~1 for / in names",
    ))
}

/// A SHA-256.
///
/// # Errors
/// [`LoadError::Expect`]: it is not one.
pub fn digest(text: &str) -> Result<[u8; 32], LoadError> {
    let mut digest = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (at, byte) in digest.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap_or_default();
    }
    let fault = || invalid(format!("the SHA-256 {text:?}"), "must be 64 hexadecimal digits");
    is_hex.then_some(digest).ok_or_else(fault)
}

fn invalid(what: impl Into<String>, why: impl Into<String>) -> LoadError {
    LoadError::Expect {
        what: what.into(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;
    use crate::reply::{Fed, ReplyReader};

    fn expectation() -> Expectation {
        Expectation::default()
    }

    /// The verdict on a reply that arrives in pieces of `piece` bytes.
    fn verdict(expect: &Expect, status: u16, body: &str, piece: usize) -> Result<(), ErrorKind> {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut reader = ReplyReader::new();
        let mut end = None;
        for piece in text.as_bytes().chunks(piece) {
            end = Some(reader.feed(piece, expect).unwrap());
        }
        assert!(matches!(end, Some(Fed::Done(_))), "{text}");
        reader.verdict()
    }

    #[test]
    fn each_expectation_accepts_the_right_and_only_the_right_body() {
        let user = r#"{"user": {"id": 7, "name": "Ada/~", "tags": ["x", true, null, 1.5]}}"#;
        let json = |pointer: &str, value: Value| Expectation {
            json: [(pointer.to_owned(), value)].into(),
            ..expectation()
        };
        let sha256 = Sha256::digest(user)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let cases = [
            (
                Expectation {
                    length: Some(user.len() as u64),
                    ..expectation()
                },
                ErrorKind::WrongLength,
            ),
            (
                Expectation {
                    body: Some(user.to_owned()),
                    ..expectation()
                },
                ErrorKind::WrongBody,
            ),
            (
                Expectation {
                    contains: Some("\"name\": \"Ada/~".to_owned()),
                    ..expectation()
                },
                ErrorKind::WrongBody,
            ),
            (
                Expectation {
                    regex: Some(r#"^\{"user".*"id": 7,"#.to_owned()),
                    ..expectation()
                },
                ErrorKind::WrongBody,
            ),
            (
                Expectation {
                    sha256: Some(sha256.to_uppercase()),
                    ..expectation()
                },
                ErrorKind::WrongBody,
            ),
            (json("/user/id", json!(7)), ErrorKind::WrongBody),
            (json("/user/id", json!(7.0)), ErrorKind::WrongBody),
            (json("/user/name", json!("Ada/~")), ErrorKind::WrongBody),
            (json("/user/tags/1", json!(true)), ErrorKind::WrongBody),
        ];
        for (expectation, kind) in cases {
            let expect = rule(&expectation, Method::Get).unwrap();
            for piece in [1, 7, 10_000] {
                assert_eq!(verdict(&expect, 200, user, piece), Ok(()), "{expectation:?}");
                assert_eq!(
                    verdict(&expect, 404, user, piece),
                    Err(ErrorKind::WrongStatus),
                    "{expectation:?}"
                );
                let wrong = verdict(
                    &expect,
                    200,
                    r#"{"user": {"id": 8, "name": "Bob", "tags": ["x", 1]}}"#,
                    piece,
                );
                let is_kind = wrong == Err(kind) || wrong == Err(ErrorKind::WrongLength);
                assert!(is_kind, "{expectation:?}: {wrong:?}");
                let not_json = verdict(&expect, 200, "not json", piece);
                assert!(not_json.is_err(), "{expectation:?}");
            }
        }
    }

    #[test]
    fn all_given_expectations_must_hold() {
        let both = Expectation {
            contains: Some("a".into()),
            regex: Some("b$".into()),
            length: Some(3),
            ..expectation()
        };
        let expect = rule(&both, Method::Get).unwrap();
        assert_eq!(verdict(&expect, 200, "acb", 1), Ok(()));
        assert_eq!(verdict(&expect, 200, "ccb", 1), Err(ErrorKind::WrongBody));
        assert_eq!(verdict(&expect, 200, "aca", 1), Err(ErrorKind::WrongBody));
        assert_eq!(verdict(&expect, 200, "acbb", 1), Err(ErrorKind::WrongLength));
    }

    #[test]
    fn one_of_several_statuses() {
        let several = Expectation {
            status: vec![201, 204],
            ..expectation()
        };
        let expect = rule(&several, Method::Put).unwrap();
        assert_eq!(verdict(&expect, 201, "x", 9), Ok(()));
        assert_eq!(verdict(&expect, 200, "x", 9), Err(ErrorKind::WrongStatus));
    }

    #[test]
    fn a_reply_to_head_ends_with_its_header() {
        let expect = rule(&expectation(), Method::Head).unwrap();
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ] {
            let mut reader = ReplyReader::new();
            assert_eq!(reader.feed(head.as_bytes(), &expect), Ok(Fed::Done(head.len())));
            assert_eq!((reader.verdict(), reader.keeps_alive()), (Ok(()), true));
        }
        let with_body = Expectation {
            length: Some(1),
            ..expectation()
        };
        assert!(rule(&with_body, Method::Head).unwrap_err().to_string().contains("HEAD"));
    }

    #[test]
    fn what_cannot_be_checked_is_an_error() {
        let says = |expectation: Expectation| rule(&expectation, Method::Get).unwrap_err().to_string();
        let regex = says(Expectation {
            regex: Some("a(b".into()),
            ..expectation()
        });
        assert!(regex.contains("unclosed group"), "{regex}");
        for pointer in ["user", "/a~2", "/~"] {
            let pointer = says(Expectation {
                json: [(pointer.to_owned(), json!(1))].into(),
                ..expectation()
            });
            assert!(pointer.contains("JSON pointer"), "{pointer}");
        }
        for sha256 in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            let sha256 = says(Expectation {
                sha256: Some(sha256.to_owned()),
                ..expectation()
            });
            assert!(sha256.contains("64 hexadecimal digits"), "{sha256}");
        }
    }
}
