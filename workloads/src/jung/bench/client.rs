//! A small HTTP client that keeps its connection.

use std::net::SocketAddr;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::names;

/// Why a request has no good reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("{0} cannot be connected to: {1}; is the gateway up?")]
    Connect(SocketAddr, std::io::Error),
    /// The connection broke.
    #[error("{0} broke off: {1}")]
    Broken(String, hyper::Error),
    /// The request cannot be written as HTTP.
    #[error("{0} is no request: {1}")]
    NoRequest(String, axum::http::Error),
    /// The status is another than the right one.
    #[error("{what} was answered {status}: {body}")]
    Status {
        /// Method and path.
        what: String,
        /// What came.
        status: StatusCode,
        /// The start of the body.
        body: String,
    },
    /// The body is not what it has to be.
    #[error("{what} was answered with a wrong body: {why}")]
    Body {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// A wrong status, with the start of its body.
    pub(super) fn of_status(what: &str, status: StatusCode, body: &[u8]) -> Self {
        let start = &body[..body.len().min(200)];
        Self::Status {
            what: what.to_owned(),
            status,
            body: String::from_utf8_lossy(start).into_owned(),
        }
    }
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
        let authorization =
            credentials.and_then(|(name, password)| HeaderValue::from_str(&names::basic(name, password)).ok());
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("jung"));
        Self {
            address,
            authorization,
            host,
            sender: None,
        }
    }

    /// Sends a request and gives its status and body.
    ///
    /// # Errors
    /// [`ClientError`] if there is no reply; any status is a reply.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let broken = |error| ClientError::Broken(format!("{method} {path}"), error);
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let request = self.request(&method, path, body)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
        // Some servers need a moment to be ready for the next request.
        if sender.ready().await.is_ok() {
            self.sender = Some(sender);
        }
        Ok((status, body))
    }

    /// Gets JSON, which has to come with status 200.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        let (status, body) = self.send(Method::GET, path, None).await?;
        read(&format!("GET {path}"), StatusCode::OK, status, &body)
    }

    /// Posts JSON, which has to be answered with this status and JSON.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        right: StatusCode,
    ) -> Result<T, ClientError> {
        let (status, body) = self.send(Method::POST, path, serde_json::to_vec(body).ok()).await?;
        read(&format!("POST {path}"), right, status, &body)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let refused = |error| ClientError::Connect(self.address, error);
        let stream = TcpStream::connect(self.address).await.map_err(refused)?;
        let _ = stream.set_nodelay(true);
        let broken = |error| ClientError::Broken(format!("the connection to {}", self.address), error);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its errors come out of the requests.
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
            .map_err(|error| ClientError::NoRequest(format!("{method} {path}"), error))
    }
}

/// Reads a reply that has to have a status and be JSON.
fn read<T: DeserializeOwned>(what: &str, right: StatusCode, status: StatusCode, body: &[u8]) -> Result<T, ClientError> {
    if status != right {
        return Err(ClientError::of_status(what, status, body));
    }
    serde_json::from_slice(body).map_err(|error| ClientError::Body {
        what: what.to_owned(),
        why: error.to_string(),
    })
}
