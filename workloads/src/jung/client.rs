//! A small HTTP client of the API that keeps its connection alive.

use std::net::SocketAddr;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Connecting failed.
    #[error("cannot connect to {0}: {1}; is the API gateway running?")]
    Connect(SocketAddr, std::io::Error),
    /// The connection failed.
    #[error("{0}: connection failed: {1}")]
    Connection(String, hyper::Error),
    /// The request is not valid HTTP.
    #[error("{0}: invalid request: {1}")]
    Request(String, axum::http::Error),
    /// The status is not the expected one.
    #[error("{what}: unexpected status {status}: {body}")]
    Status {
        /// Method and path.
        what: String,
        /// The received status.
        status: StatusCode,
        /// The first 200 bytes of the body.
        body: String,
    },
    /// The body is not the expected JSON.
    #[error("{what}: invalid body: {why}")]
    Body {
        /// Method and path.
        what: String,
        /// The parser's message.
        why: String,
    },
}

/// A client with the credentials of one user.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    authorization: Option<HeaderValue>,
    host: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client that connects with its first request.
    #[must_use]
    pub fn new(address: SocketAddr, credentials: Option<(&str, &str)>) -> Self {
        let authorization = credentials.and_then(|(name, password)| {
            let encoded = BASE64_STANDARD.encode(format!("{name}:{password}"));
            HeaderValue::from_str(&format!("Basic {encoded}")).ok()
        });
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("jung"));
        Self {
            address,
            authorization,
            host,
            sender: None,
        }
    }

    /// Sends a request; returns the status and body of the reply.
    ///
    /// # Errors
    /// [`ClientError`] if there is no reply. Any status is a reply.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let failed = |error| ClientError::Connection(format!("{method} {path}"), error);
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let request = self.request(&method, path, body)?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(failed)?.to_bytes();
        // Without this, the next request may find the connection busy.
        if sender.ready().await.is_ok() {
            self.sender = Some(sender);
        }
        Ok((status, body))
    }

    /// Sends a GET and parses the reply, which must have status 200.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        let (status, body) = self.send(Method::GET, path, None).await?;
        read(&format!("GET {path}"), StatusCode::OK, status, &body)
    }

    /// Sends a POST and parses the reply, which must have the status `expected`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        expected: StatusCode,
    ) -> Result<T, ClientError> {
        let (status, body) = self.send(Method::POST, path, serde_json::to_vec(body).ok()).await?;
        read(&format!("POST {path}"), expected, status, &body)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.map_err(|error| ClientError::Connect(self.address, error))?;
        let _ = stream.set_nodelay(true);
        let failed = |error| ClientError::Connection(self.address.to_string(), error);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // The requests report its errors.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn request(&self, method: &Method, path: &str, body: Option<Vec<u8>>) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| ClientError::Request(format!("{method} {path}"), error))
    }
}

/// Parses the JSON of a reply that must have a status.
fn read<T: DeserializeOwned>(
    what: &str,
    expected: StatusCode,
    status: StatusCode,
    body: &[u8],
) -> Result<T, ClientError> {
    let what = what.to_owned();
    if status != expected {
        let body = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        return Err(ClientError::Status { what, status, body });
    }
    serde_json::from_slice(body).map_err(|error| ClientError::Body {
        what,
        why: error.to_string(),
    })
}
