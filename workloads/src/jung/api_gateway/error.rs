//! HTTP errors: a status and a JSON body `{"error": .., "message": ..}`.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::jung::message::{Fault, FaultKind};

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorView {
    /// Machine-readable kind.
    pub error: String,
    /// Human-readable message.
    pub message: String,
}

/// An error response.
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

    /// An invalid request.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// Missing or malformed credentials.
    pub fn unauthenticated() -> Self {
        Fault::new(FaultKind::Unauthenticated, "HTTP Basic credentials required").into()
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let (status, error) = match fault.kind {
            FaultKind::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
            FaultKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            FaultKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            FaultKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            FaultKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            FaultKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            FaultKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            FaultKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, error, fault.message)
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

/// Fallback for unknown paths.
pub async fn unknown_path() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "unknown path: see /openapi.json")
}

/// Fallback for unsupported methods; the router sets the header `Allow`.
pub async fn unsupported_method() -> Response {
    let error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        "unsupported method: see the header Allow or /openapi.json",
    );
    error.into_response()
}
