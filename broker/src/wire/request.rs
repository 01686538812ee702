//! Decoding of requests.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind};
use kafka_protocol::protocol::Decodable;

use super::api_table::Api;
use super::error::FrameError;
use super::frame::MIN_REQUEST;
use super::schema::{self, SchemaError};

/// A decoded request.
#[derive(Debug)]
pub struct Request {
    /// The API.
    pub key: ApiKey,
    /// The version of the API.
    pub version: i16,
    /// Returned in the response.
    pub correlation_id: i32,
    /// The client id.
    pub client_id: String,
    /// The body; `None` for an unsupported version of ApiVersions, which still gets a response (KIP-511).
    pub body: Option<RequestKind>,
}

/// Validates and decodes a frame (without its length field). Never panics, whatever the bytes.
pub fn decode(mut frame: Bytes) -> Result<Request, FrameError> {
    if frame.len() < MIN_REQUEST {
        return Err(FrameError::TooShort(frame.len()));
    }
    let number = i16::from_be_bytes([frame[0], frame[1]]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
    let api = Api::find(number).ok_or(FrameError::UnknownKey(number))?;
    if version < api.min || version > api.max {
        return unsupported_version(api, version, correlation_id);
    }
    let malformed = |reason: String| FrameError::Malformed {
        key: number,
        version,
        reason,
    };
    let invalid = |e: SchemaError| malformed(e.to_string());
    let flexible = api.flexible(version);
    let header_length = schema::header_length(flexible, &frame).map_err(invalid)?;
    schema::check(api.schema, version, flexible, &frame[header_length..]).map_err(invalid)?;
    let header = RequestHeader::decode(&mut frame.slice(..header_length), if flexible { 2 } else { 1 })
        .map_err(|e| malformed(format!("header: {e:#}")))?;
    frame.advance(header_length);
    let body = RequestKind::decode(api.key, &mut frame, version).map_err(|e| malformed(format!("{e:#}")))?;
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    Ok(Request {
        key: api.key,
        version,
        correlation_id,
        client_id,
        body: Some(body),
    })
}

fn unsupported_version(api: &Api, version: i16, correlation_id: i32) -> Result<Request, FrameError> {
    if api.key == ApiKey::ApiVersions {
        return Ok(Request {
            key: api.key,
            version,
            correlation_id,
            client_id: String::new(),
            body: None,
        });
    }
    Err(FrameError::UnsupportedVersion {
        key: api.key as i16,
        version,
        min: api.min,
        max: api.max,
    })
}
