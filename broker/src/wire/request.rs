//! From a frame to a decoded request.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind};
use kafka_protocol::protocol::Decodable;

use super::shape::{self, ShapeError};
use super::{Api, FrameError};

/// A request that has passed every check.
#[derive(Debug)]
pub struct Request {
    /// Which API.
    pub key: ApiKey,
    /// Which version of it.
    pub version: i16,
    /// Goes back with the answer.
    pub correlation: i32,
    /// The client's name for itself.
    pub client: String,
    /// The body; `None` for ApiVersions of a version that is not spoken, which still gets an answer (KIP-511).
    pub body: Option<RequestKind>,
}

/// Checks and decodes one frame (without its length field). Never panics, whatever the bytes.
pub fn decode(mut frame: Bytes) -> Result<Request, FrameError> {
    if frame.len() < 8 {
        return Err(FrameError::UnderHeader(frame.len()));
    }
    let number = i16::from_be_bytes([frame[0], frame[1]]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let correlation = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
    let api = Api::find(number).ok_or(FrameError::UnknownKey(number))?;
    if version < api.min || version > api.max {
        return unsupported(api, version, correlation);
    }
    let malformed = |problem: String| FrameError::Malformed {
        key: number,
        version,
        problem,
    };
    let shapeless = |e: ShapeError| malformed(e.to_string());
    let flexible = api.flexible(version);
    let header_length = shape::header(flexible, &frame).map_err(shapeless)?;
    shape::check(api.shape, version, flexible, &frame[header_length..]).map_err(shapeless)?;
    let header = RequestHeader::decode(&mut frame.slice(..header_length), if flexible { 2 } else { 1 })
        .map_err(|e| malformed(format!("header: {e:#}")))?;
    frame.advance(header_length);
    let body = RequestKind::decode(api.key, &mut frame, version).map_err(|e| malformed(format!("{e:#}")))?;
    let client = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    Ok(Request {
        key: api.key,
        version,
        correlation,
        client,
        body: Some(body),
    })
}

fn unsupported(api: &Api, version: i16, correlation: i32) -> Result<Request, FrameError> {
    if api.key == ApiKey::ApiVersions {
        return Ok(Request {
            key: api.key,
            version,
            correlation,
            client: String::new(),
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
