//! The HTTP requests of a load: one type for the checked configuration, PREPARE and the results.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The HTTP requests of a load. The default: one `GET /`, whose correct reply the workload defines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequests {
    /// The requests; empty: one `GET /`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<HttpRequest>,
    /// Which of them comes next.
    #[serde(default)]
    pub order: RequestOrder,
    /// Value of the header field `Host`, and the name that the server's certificate must have; `None`: the service's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// TLS; `None`: not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
}

impl HttpRequests {
    /// Maximum size as JSON, bytes: PREPARE carries it in one message, next to little else.
    pub const MAX_BYTES: usize = 900_000;

    /// Maximum length of a round, in which each request comes as often as its weight says, without the common factor of the weights.
    pub const MAX_ROUND: u32 = 10_000;

    /// Whether it is the default.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The same for results, which are meant to be published: the values of header fields that name secrets are replaced by `***`.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        const WORDS: [&str; 7] = [
            "authorization",
            "cookie",
            "token",
            "secret",
            "password",
            "credential",
            "api-key",
        ];
        let mut http = self.clone();
        let headers = http.requests.iter_mut().flat_map(|request| &mut request.headers);
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if WORDS.iter().any(|word| name.contains(word)) {
                "***".clone_into(value);
            }
        }
        http
    }
}

/// Which of several requests comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestOrder {
    /// A deck that holds each request as often as its weight says, shuffled anew for each round by the experiment's seed.
    #[default]
    Mix,
    /// As listed; a request comes as often in succession as its weight says.
    Sequence,
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// Its name in results; empty if the load has no other.
    pub label: String,
    /// Method.
    #[serde(default)]
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Header fields, in addition to those that every request has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Body, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Whether path, header values and body have placeholders.
    #[serde(default)]
    pub template: bool,
    /// Its weight relative to the other requests.
    #[serde(alias = "share")]
    pub weight: u32,
    /// The correct reply; `None`: the workload defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

impl HttpRequest {
    /// The weights of requests, divided by their greatest common divisor.
    #[must_use]
    pub fn weights(requests: &[Self]) -> Vec<u32> {
        const fn divisor(a: u32, b: u32) -> u32 {
            if b == 0 { a } else { divisor(b, a % b) }
        }
        let common = requests
            .iter()
            .fold(0, |common, request| divisor(common, request.weight));
        requests.iter().map(|request| request.weight / common.max(1)).collect()
    }

    /// A GET of a path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            label: String::new(),
            method: Method::Get,
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
            template: false,
            weight: 1,
            expect: None,
        }
    }
}

/// HTTP methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD, whose replies have no body.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
    ];

    /// Its name in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// The body of a request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Text.
    Text(String),
    /// Other bytes, base64-encoded.
    #[serde(with = "base64_text")]
    Base64(Vec<u8>),
}

impl Body {
    /// A body of these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Base64(error.into_bytes()), Self::Text)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Base64(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.as_bytes().len())
    }
}

/// The correct reply to a request. Everything given must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Status: one of these.
    pub status: Vec<u16>,
    /// Length of the body, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Text that the body contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Regular expression that matches somewhere in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Values of the body, which is JSON, by JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, serde_json::Value>,
    /// SHA-256 of the body, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Default for Expectation {
    /// Status 200 with any body.
    fn default() -> Self {
        Self {
            status: vec![200],
            length: None,
            body: None,
            contains: None,
            regex: None,
            json: BTreeMap::new(),
            sha256: None,
        }
    }
}

/// TLS, with HTTP/1.1 inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// Which servers are accepted.
    pub trust: Trust,
    /// Whether new connections resume sessions of earlier ones.
    pub session_reuse: bool,
}

/// Which servers are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Those with a certificate for the right name by one of these authorities: PEM.
    Ca(String),
    /// All of them.
    Insecure,
}

/// TLS handshakes of a load, including those of the warm-up and of the connections opened before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsStats {
    /// Full handshakes.
    pub full: u64,
    /// Handshakes that resumed a session.
    pub resumed: u64,
    /// Handshakes by protocol version and cipher suite.
    pub suites: BTreeMap<String, u64>,
}

impl TlsStats {
    /// Adds the handshakes of another thread or loader.
    pub fn add(&mut self, other: &Self) {
        self.full += other.full;
        self.resumed += other.resumed;
        for (suite, count) in &other.suites {
            *self.suites.entry(suite.clone()).or_default() += count;
        }
    }
}

/// (De)serializes bytes as base64.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_no_secrets_of_header_fields() {
        let header = |name: &str| (name.to_owned(), "abc".to_owned());
        let headers = ["Authorization", "X-API-Key", "cookie", "Accept", "Idempotency-Key"].map(header);
        let http = HttpRequests {
            requests: vec![HttpRequest {
                headers: headers.to_vec(),
                ..HttpRequest::get("/")
            }],
            ..HttpRequests::default()
        };
        let values: Vec<_> = http
            .without_secrets()
            .requests
            .remove(0)
            .headers
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, ["***", "***", "***", "abc", "abc"]);
    }

    #[test]
    fn weights_lose_their_common_factor() {
        let weights = |weights: &[u32]| {
            let one = |&weight| HttpRequest {
                weight,
                ..HttpRequest::get("/")
            };
            HttpRequest::weights(&weights.iter().map(one).collect::<Vec<_>>())
        };
        assert_eq!(weights(&[700, 200, 100]), [7, 2, 1]);
        assert_eq!((weights(&[5]), weights(&[])), (vec![1], vec![]));
    }
}
