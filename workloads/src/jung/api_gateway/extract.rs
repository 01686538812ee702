//! Request extractors with JSON errors.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::jung::message::{Password, UserName};

/// HTTP Basic credentials (RFC 7617).
#[derive(Debug)]
pub struct Credentials {
    /// The user name.
    pub username: UserName,
    /// The password.
    pub password: Password,
}

impl<S: Sync> FromRequestParts<S> for Credentials {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        header.and_then(parse_basic).ok_or_else(ApiError::unauthenticated)
    }
}

/// Parses `Basic <base64 of name:password>`.
fn parse_basic(header: &str) -> Option<Credentials> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    let username = UserName::try_from(name.to_owned()).ok()?;
    Some(Credentials {
        username,
        password: Password(password.to_owned()),
    })
}

/// The path parameters.
#[derive(Debug)]
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Self(params)),
            Err(error) => Err(ApiError::bad_request(error.body_text())),
        }
    }
}

/// The query parameters.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(ApiError::bad_request(error.body_text())),
        }
    }
}

/// A JSON body; the content type is ignored.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let message = format!("body larger than {} bytes", super::MAX_BODY);
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            } else {
                ApiError::bad_request(error.body_text())
            }
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("invalid JSON body: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_parsed_or_refused() {
        let header = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let good = parse_basic(&header("anna:a:b")).unwrap();
        assert_eq!(good.username.as_str(), "anna");
        assert!(good.password.matches(&Password("a:b".into())));
        assert!(parse_basic(&header("anna:").replace("Basic", "bAsIc")).is_some());
        for bad in [
            "",
            "Basic",
            "Basic !!!",
            "Bearer YTpi",
            &header("no colon"),
            &header(":x"),
            &header("ä:x"),
        ] {
            assert!(parse_basic(bad).is_none(), "{bad}");
        }
    }
}
