//! A raw protocol client: sends any request and returns the response.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

/// A client connection.
pub struct RawClient {
    pub stream: TcpStream,
    next: i32,
}

/// The frame of a request, length included.
pub fn frame(key: ApiKey, version: i16, correlation: i32, body: &RequestKind) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("raw")));
    header.encode(&mut bytes, key.request_header_version(version)).unwrap();
    body.encode(&mut bytes, version).unwrap();
    let length = i32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

impl RawClient {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(super::DEADLINE)).unwrap();
        RawClient { stream, next: 1 }
    }

    /// Sends a request and returns the response; `None` if the broker closes the connection instead.
    pub fn request(&mut self, key: ApiKey, version: i16, body: &RequestKind) -> Option<ResponseKind> {
        let correlation = self.next;
        self.next += 1;
        self.stream.write_all(&frame(key, version, correlation, body)).ok()?;
        let mut response = self.receive()?;
        let header = ResponseHeader::decode(&mut response, key.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, correlation);
        let decoded = ResponseKind::decode(key, &mut response, version).unwrap();
        assert!(
            !response.has_remaining(),
            "{key:?} v{version}: trailing bytes in the response"
        );
        Some(decoded)
    }

    /// The next frame; `None` when the connection is closed.
    pub fn receive(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut body).ok()?;
        Some(body.into())
    }

    /// Sends raw bytes and waits for the broker to close the connection; panics if it responds.
    pub fn expect_close(mut self, bytes: &[u8]) {
        // The broker may close the connection before everything is written.
        let _ = self.stream.write_all(bytes);
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "response {rest:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

/// A batch of records of 10 bytes. `producer` is the producer id, epoch and sequence number.
pub fn batch(count: i32, producer: Option<(i64, i16, i32)>, timestamp: i64) -> Bytes {
    let (producer_id, producer_epoch, sequence) = producer.unwrap_or((-1, -1, -1));
    let record = |n: i32| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(n),
        sequence: if sequence < 0 {
            sequence + n
        } else {
            sequence.wrapping_add(n)
        },
        timestamp: timestamp + i64::from(n),
        key: None,
        value: Some(Bytes::from(format!("{n:010}"))),
        headers: Default::default(),
    };
    let records: Vec<_> = (0..count).map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}
