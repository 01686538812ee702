//! Produce, Fetch, offsets, DeleteRecords.

use bytes::Bytes;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;

use super::support::raw::batch;
use super::{Pair, topic};

pub fn produce(name: &str, partition: i32, records: Bytes, acks: i16) -> RequestKind {
    let partition = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let data = TopicProduceData::default()
        .with_name(topic(name))
        .with_partition_data(vec![partition]);
    RequestKind::Produce(
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(5000)
            .with_topic_data(vec![data]),
    )
}

pub fn records(pair: &mut Pair) {
    let mut send = |what: &str, request: RequestKind| {
        for version in [3, 8, 9, 12] {
            pair.ask(what, ApiKey::Produce, version, request.clone());
        }
    };
    send("plain", produce("one", 0, batch(3, None, 1000), -1));
    send("acks 1", produce("one", 0, batch(1, None, 2000), 1));
    send("no such topic", produce("missing", 0, batch(1, None, 0), -1));
    send("no such partition", produce("one", 99, batch(1, None, 0), -1));
    send("bad acks", produce("one", 0, batch(1, None, 0), 7));
    let mut damaged = batch(2, None, 0).to_vec();
    damaged[70] ^= 0xff;
    send("damaged", produce("one", 0, damaged.into(), -1));
    let two = [batch(1, None, 0), batch(1, None, 0)].concat();
    send("two batches", produce("one", 0, two.into(), -1));
    send("too large", produce("one", 0, batch(100_000, None, 0), -1));
    let ids = pair.ask(
        "producer id",
        ApiKey::InitProducerId,
        4,
        RequestKind::InitProducerId(
            InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(60000)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        ),
    );
    let ids = ids.map(|answer| match answer {
        Some(ResponseKind::InitProducerId(answer)) => answer.producer_id.0,
        other => panic!("no producer id: {other:?}"),
    });
    let steps = [
        ("first", 0, 0, 2),
        ("second", 0, 2, 2),
        ("repeated", 0, 0, 2),
        ("repeated again", 0, 2, 2),
        ("gap", 0, 9, 1),
        ("next", 0, 4, 1),
        ("new epoch, not from 0", 1, 5, 1),
        ("new epoch", 1, 0, 1),
        ("old epoch", 0, 5, 1),
    ];
    for (what, epoch, sequence, count) in steps {
        let requests = ids.map(|id| produce("one", 1, batch(count, Some((id, epoch, sequence)), 5000), -1));
        pair.ask_each(what, ApiKey::Produce, 9, requests);
    }
}

pub fn fetch(name: &str, partition: i32, offset: i64, limit: i32, epoch: i32) -> RequestKind {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(epoch)
        .with_fetch_offset(offset)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(limit);
    let data = FetchTopic::default()
        .with_topic(topic(name))
        .with_partitions(vec![partition]);
    RequestKind::Fetch(
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(100)
            .with_min_bytes(1)
            .with_max_bytes(1_000_000)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![data]),
    )
}

pub fn fetching(pair: &mut Pair) {
    let cases = [
        ("from the start", "one", 0, 0, 1_000_000, -1),
        ("from inside a batch", "one", 0, 1, 1_000_000, -1),
        ("one byte", "one", 0, 0, 1, -1),
        ("at the end", "one", 0, 16, 1000, -1),
        ("beyond the end", "one", 0, 17, 1000, -1),
        ("negative", "one", 0, -5, 1000, -1),
        ("no such topic", "missing", 0, 0, 1000, -1),
        ("no such partition", "one", 77, 0, 1000, -1),
    ];
    for (what, name, partition, offset, limit, epoch) in cases {
        for version in [4, 5, 7, 9, 11, 12] {
            let epoch = if version >= 9 { epoch } else { -1 };
            pair.ask(
                what,
                ApiKey::Fetch,
                version,
                fetch(name, partition, offset, limit, epoch),
            );
        }
    }
    pair.ask("epoch of the future", ApiKey::Fetch, 12, fetch("one", 0, 0, 1000, 99));
    for time in [-1, -2, -3, 0, 1001, 1002, 1999, 2000, 99_999] {
        for (name, partition) in [("one", 0), ("one", 3), ("missing", 0)] {
            let version = if time == -3 { 7 } else { 6 };
            let one = ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(time);
            let named = ListOffsetsTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![one]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(vec![named]);
            pair.ask(
                &format!("offset of {time}"),
                ApiKey::ListOffsets,
                version,
                RequestKind::ListOffsets(request),
            );
        }
    }
    for (partition, epoch) in [(0, 0), (0, 5), (77, 0)] {
        let one = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_leader_epoch(epoch);
        let named = OffsetForLeaderTopic::default()
            .with_topic(topic("one"))
            .with_partitions(vec![one]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![named]);
        pair.ask(
            "epoch end",
            ApiKey::OffsetForLeaderEpoch,
            4,
            RequestKind::OffsetForLeaderEpoch(request),
        );
    }
    for (partition, offset) in [(0, 4), (0, 2), (0, 9999), (77, 0), (0, -1)] {
        let one = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let named = DeleteRecordsTopic::default()
            .with_name(topic("one"))
            .with_partitions(vec![one]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![named])
            .with_timeout_ms(5000);
        pair.ask(
            "delete records",
            ApiKey::DeleteRecords,
            2,
            RequestKind::DeleteRecords(request),
        );
    }
}
