//! Errors as HTTP says them: a status, and a JSON body `{"error": .., "message": ..}`.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::jung::message::{Fault, Kind};

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorView {
    /// Its sort, for programs.
    pub error: String,
    /// A sentence for people.
    pub message: String,
}

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    view: ErrorView,
}

impl ApiError {
    /// An error with this status.
    pub fn new(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            view: ErrorView {
                error: error.to_owned(),
                message: message.into(),
            },
        }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// There are no credentials.
    pub fn unauthenticated() -> Self {
        Fault::new(Kind::Unauthenticated, "this needs HTTP Basic credentials").into()
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let (status, error) = match fault.kind {
            Kind::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict"),
            Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, error, fault.what)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.view)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"jung\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// For paths that are nothing.
pub async fn no_such_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is no such path: see /openapi.json",
    )
}

/// For paths that do not know the method; the router has noted those that they know.
pub async fn no_such_method() -> Response {
    let error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        "see the header Allow, or /openapi.json",
    );
    error.into_response()
}
