//! Hostile frames: each is refused or gets a response, and the broker stays available.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::{BufMut, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, MetadataRequest, ProduceRequest, RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;
use support::raw::{RawClient, batch, frame};
use support::start_with;

fn assert_alive(address: &str) {
    let request = RequestKind::ApiVersions(ApiVersionsRequest::default());
    assert!(
        RawClient::connect(address)
            .request(ApiKey::ApiVersions, 0, &request)
            .is_some()
    );
}

/// A frame with this key and version, without client id.
fn raw_frame(key: i16, version: i16, rest: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i32(i32::try_from(10 + rest.len()).unwrap());
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(1);
    bytes.put_i16(-1);
    bytes.put_slice(rest);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_frames_only_close_their_connection() {
    let running = start_with(|config| config.max_frame = 1 << 20).await;
    let bomb = [0x7f, 0xff, 0xff, 0xff];
    let frames: Vec<(&str, Vec<u8>)> = vec![
        ("negative length", vec![0xff; 4]),
        ("length over the limit", vec![0x7f, 0xff, 0xff, 0xff, 0, 0]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("empty frame", vec![0, 0, 0, 0]),
        ("frame under a header", vec![0, 0, 0, 3, 0, 18, 0]),
        ("unknown key", raw_frame(9999, 0, &[]).to_vec()),
        ("negative key", raw_frame(-1, 0, &[]).to_vec()),
        ("version too new", raw_frame(3, 99, &[]).to_vec()),
        ("negative version", raw_frame(0, -1, &[]).to_vec()),
        ("truncated body", raw_frame(3, 1, &[0, 0, 0, 1, 0, 9, b'x']).to_vec()),
        ("array bomb", raw_frame(3, 1, &bomb).to_vec()),
        ("array bomb in groups", raw_frame(15, 0, &bomb).to_vec()),
        ("negative array", raw_frame(3, 1, &[0xff, 0xff, 0xff, 0x00]).to_vec()),
        (
            "compact array bomb",
            raw_frame(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]).to_vec(),
        ),
        (
            "tagged fields bomb",
            raw_frame(3, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]).to_vec(),
        ),
        (
            "client id longer than the frame",
            vec![0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff],
        ),
    ];
    for (what, bytes) in frames {
        println!("{what}");
        RawClient::connect(&running.address).expect_close(&bytes);
        assert_alive(&running.address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_frames_are_harmless() {
    use std::io::Write;
    let running = start_with(|_| {}).await;
    let whole = frame(
        ApiKey::Metadata,
        9,
        1,
        &RequestKind::Metadata(MetadataRequest::default()),
    );
    for length in 1..whole.len() {
        RawClient::connect(&running.address)
            .stream
            .write_all(&whole[..length])
            .unwrap();
    }
    assert_alive(&running.address);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_api_versions_gets_a_version_0_response() {
    use std::io::Write;
    let running = start_with(|_| {}).await;
    let mut raw = RawClient::connect(&running.address);
    raw.stream.write_all(&raw_frame(18, 77, &[1, 2, 3])).unwrap();
    let mut answer = raw.receive().unwrap();
    let correlation = bytes::Buf::get_i32(&mut answer);
    let Ok(ResponseKind::ApiVersions(answer)) = ResponseKind::decode(ApiKey::ApiVersions, &mut answer, 0) else {
        panic!("no version 0 response")
    };
    assert_eq!(
        (correlation, answer.error_code),
        (1, ResponseError::UnsupportedVersion.code())
    );
    assert_eq!(answer.api_keys[0].max_version, 4);
    // The connection is still usable.
    let request = RequestKind::ApiVersions(ApiVersionsRequest::default());
    assert!(raw.request(ApiKey::ApiVersions, 0, &request).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed() {
    let running = start_with(|config| config.memory_limit.connections = 3).await;
    let mut held: Vec<_> = (0..3).map(|_| RawClient::connect(&running.address)).collect();
    let request = RequestKind::ApiVersions(ApiVersionsRequest::default());
    for raw in &mut held {
        assert!(raw.request(ApiKey::ApiVersions, 0, &request).is_some());
    }
    RawClient::connect(&running.address).expect_close(&[]);
    drop(held.pop());
    let begun = std::time::Instant::now();
    while RawClient::connect(&running.address)
        .request(ApiKey::ApiVersions, 0, &request)
        .is_none()
    {
        assert!(begun.elapsed() < support::DEADLINE, "the free slot is not reused");
    }
}

fn produce(batch: bytes::Bytes) -> RequestKind {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partition_data(vec![partition]);
    RequestKind::Produce(
        ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1000)
            .with_topic_data(vec![topic]),
    )
}

fn error_of(answer: Option<ResponseKind>) -> i16 {
    let Some(ResponseKind::Produce(answer)) = answer else {
        panic!("no response")
    };
    answer.responses[0].partition_responses[0].error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_batches_get_specific_error_codes() {
    let running = start_with(|_| {}).await;
    let mut raw = RawClient::connect(&running.address);
    let name = TopicName(StrBytes::from_static_str("t"));
    let topic = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default().with_name(Some(name));
    let metadata = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    raw.request(ApiKey::Metadata, 9, &RequestKind::Metadata(metadata))
        .unwrap();
    let good = batch(3, None, 1000);
    let mut ask = |bytes: Vec<u8>| error_of(raw.request(ApiKey::Produce, 9, &produce(bytes.into())));
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        bytes
    };
    assert_eq!(ask(good.to_vec()), 0);
    assert_eq!(ask(changed(70, 0xee)), ResponseError::CorruptMessage.code());
    assert_eq!(ask(changed(16, 1)), ResponseError::UnsupportedForMessageFormat.code());
    assert_eq!(ask(good[..40].to_vec()), ResponseError::CorruptMessage.code());
    assert_eq!(ask(Vec::new()), ResponseError::CorruptMessage.code());
    assert_eq!(
        ask([good.to_vec(), good.to_vec()].concat()),
        ResponseError::InvalidRecord.code()
    );
    assert_eq!(
        ask(batch(100_000, None, 1000).to_vec()),
        ResponseError::MessageTooLarge.code()
    );
}

fn whole_requests() -> Vec<Vec<u8>> {
    let requests = [
        frame(ApiKey::Produce, 9, 1, &produce(batch(2, None, 5))),
        frame(ApiKey::Produce, 3, 1, &produce(batch(2, None, 5))),
        frame(
            ApiKey::Metadata,
            12,
            1,
            &RequestKind::Metadata(MetadataRequest::default()),
        ),
        frame(
            ApiKey::ApiVersions,
            3,
            1,
            &RequestKind::ApiVersions(ApiVersionsRequest::default()),
        ),
    ];
    requests.iter().map(|bytes| bytes[4..].to_vec()).collect()
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        broker::accepts_frame(&bytes);
    }

    #[test]
    fn random_bodies_under_real_headers_never_panic(
        key in 0i16..70, version in 0i16..18, body in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        broker::accepts_frame(&raw_frame(key, version, &body)[4..]);
    }

    #[test]
    fn mutated_requests_never_panic(
        which in 0usize..4, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = whole_requests().swap_remove(which);
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        broker::accepts_frame(&bytes);
    }

    #[test]
    fn truncated_requests_are_refused(which in 0usize..4, length in any::<prop::sample::Index>()) {
        let bytes = whole_requests().swap_remove(which);
        prop_assert!(broker::accepts_frame(&bytes));
        prop_assert!(!broker::accepts_frame(&bytes[..length.index(bytes.len())]));
    }
}
