//! The supported APIs: key, versions, and the schema of the request.

use kafka_protocol::messages::ApiKey;

/// A supported API.
#[derive(Debug)]
pub struct Api {
    /// The API key in the request header.
    pub key: ApiKey,
    /// The oldest supported version.
    pub min: i16,
    /// The newest supported version.
    pub max: i16,
    /// Schema of the request body, in the notation of [`schema`](super::schema).
    pub schema: &'static str,
}

impl Api {
    /// The API with this key, if it is supported.
    pub fn find(key: i16) -> Option<&'static Api> {
        APIS.iter().find(|api| api.key as i16 == key)
    }

    /// Whether this version is flexible: compact lengths and tagged fields.
    pub fn flexible(&self, version: i16) -> bool {
        self.key.request_header_version(version) >= 2
    }
}

const fn api(key: ApiKey, min: i16, max: i16, schema: &'static str) -> Api {
    Api { key, min, max, schema }
}

/// All supported APIs.
pub static APIS: &[Api] = &[
    api(ApiKey::Produce, 3, 13, "s h i [{3-12 s} {13-13 u} [i x]]"),
    api(
        ApiKey::Fetch,
        4,
        17,
        "! {4-14 i} i i i b {7-17 i i} [{4-12 s} {13-17 u} [i {9-17 i} l {12-17 i} {5-17 l} i !]] \
         {7-17 [{7-12 s} {13-17 u} (i)]} {11-17 s}",
    ),
    api(ApiKey::ListOffsets, 1, 10, "i {2-10 b} [s [i {4-10 i} l]] {10-10 i}"),
    api(ApiKey::Metadata, 0, 13, "[{10-13 u} s] {4-13 b} {8-10 b} {8-13 b}"),
    api(ApiKey::OffsetCommit, 2, 9, "s i s {7-9 s} {2-4 l} [s [i l {6-9 i} s]]"),
    api(
        ApiKey::OffsetFetch,
        1,
        9,
        "{1-7 s [s (i)]} {8-9 [s {9-9 s i} [s (i)]]} {7-9 b}",
    ),
    api(ApiKey::FindCoordinator, 0, 6, "{0-3 s} {1-6 b} {4-6 (s)}"),
    api(ApiKey::JoinGroup, 0, 9, "s i {1-9 i} s {5-9 s} s [s x] {8-9 s}"),
    api(ApiKey::Heartbeat, 0, 4, "s i s {3-4 s}"),
    api(ApiKey::LeaveGroup, 0, 5, "s {0-2 s} {3-5 [s s {5-5 s}]}"),
    api(ApiKey::SyncGroup, 0, 5, "s i s {3-5 s} {5-5 s s} [s x]"),
    api(ApiKey::DescribeGroups, 0, 6, "(s) {3-6 b}"),
    api(ApiKey::ListGroups, 0, 5, "{4-5 (s)} {5-5 (s)}"),
    api(ApiKey::ApiVersions, 0, 4, "{3-4 s s}"),
    api(ApiKey::CreateTopics, 2, 7, "[s i h [i (i)] [s s]] i b"),
    api(ApiKey::DeleteTopics, 1, 6, "{1-5 (s)} {6-6 [s u]} i"),
    api(ApiKey::DeleteRecords, 0, 2, "[s [i l]] i"),
    api(ApiKey::InitProducerId, 0, 5, "s i {3-5 l h}"),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, "{3-4 i} [s [i i i]]"),
    api(ApiKey::DescribeConfigs, 1, 4, "[b s (s)] b {3-4 b}"),
    api(ApiKey::CreatePartitions, 0, 3, "[s i [(i)]] i b"),
    api(ApiKey::DeleteGroups, 0, 2, "(s)"),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, "[b s [s b s]] b"),
    api(ApiKey::OffsetDelete, 0, 0, "s [s [i]]"),
    api(ApiKey::DescribeCluster, 0, 2, "b {1-2 b} {2-2 b}"),
];
