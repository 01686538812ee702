//! ApiVersions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, ResponseKind};

use super::Caller;
use crate::wire::{APIS, Api};

/// Which APIs are spoken, in which versions.
pub fn versions(caller: Caller<'_>, request: &ApiVersionsRequest) -> ResponseKind {
    let named =
        caller.version < 3 || (plausible(&request.client_software_name) && plausible(&request.client_software_version));
    let mut response = ApiVersionsResponse::default();
    if named {
        response.api_keys = APIS.iter().map(spoken).collect();
    } else {
        response.error_code = ResponseError::InvalidRequest.code();
    }
    ResponseKind::ApiVersions(response)
}

/// The answer to a version of ApiVersions that is not spoken: in version 0, with the versions that are (KIP-511).
pub fn unsupported() -> ResponseKind {
    let own = APIS.iter().filter(|api| api.key == ApiKey::ApiVersions);
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own.map(spoken).collect());
    ResponseKind::ApiVersions(response)
}

fn spoken(api: &Api) -> ApiVersion {
    // librdkafka up to 2.5 takes a broker without Produce version 0 for one that cannot compress; Apache Kafka 4
    // claims it for the same reason and does not speak it either.
    let min = if api.key == ApiKey::Produce { 0 } else { api.min };
    ApiVersion::default()
        .with_api_key(api.key as i16)
        .with_min_version(min)
        .with_max_version(api.max)
}

/// Letters, digits, `-` and `.`, neither of these two at an end (KIP-511).
fn plausible(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let ends = [name.bytes().next(), name.bytes().next_back()];
    name.bytes().all(inner) && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
}
