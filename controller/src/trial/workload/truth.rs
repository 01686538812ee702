//! What Jung's platform really did: read back from the device gateway after the load, and compared with what was accepted.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::Name;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use workloads::jung::bench::reply::Commanded;
use workloads::jung::bench::truth::{RULE_DEADLINE, Truth, compare};
use workloads::jung::record::{Commands, Devices, Entry};
use workloads::jung::service::Service;

use crate::store::{TruthCheck, TruthRecord};

/// How long the rules that were violated last have on top of their deadline.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one reply may take.
const REPLY: Duration = Duration::from_secs(20);

/// The largest reply, bytes.
const LARGEST: u64 = 64 << 20;

/// The service that knows what the devices did.
#[must_use]
pub fn witness() -> Name {
    super::jung::name(Service::DeviceGateway, 0)
}

/// The longest that a check takes, for deadlines.
#[must_use]
pub fn longest() -> Duration {
    RULE_DEADLINE + PAUSE + REPLY * 3
}

/// Waits until the last rules have had their time, reads the truth back and compares.
pub async fn check(device_gateway: SocketAddr, accepted: &[Commanded]) -> TruthRecord {
    sleep(RULE_DEADLINE + PAUSE).await;
    match timeout(longest(), read_back(device_gateway)).await {
        Ok(Ok((entries, devices))) => record(&compare(accepted, &entries, &devices.devices)),
        Ok(Err(why)) => unread(format!("the device gateway at {device_gateway}: {why}")),
        Err(_) => unread(format!("the device gateway at {device_gateway} answers too slowly")),
    }
}

fn unread(problem: String) -> TruthRecord {
    TruthRecord {
        checks: Vec::new(),
        problem: Some(problem),
    }
}

fn record(truth: &Truth) -> TruthRecord {
    let check = |what: &str, checked: usize, wrong: usize, binding: bool| TruthCheck {
        what: what.to_owned(),
        checked: checked as u64,
        wrong: wrong as u64,
        binding,
        slowest_ns: None,
    };
    let rules = TruthCheck {
        slowest_ns: u64::try_from(truth.slowest_rule.as_nanos()).ok(),
        ..check(
            "violated rules fired within 2 s",
            truth.violations,
            truth.unanswered,
            false,
        )
    };
    TruthRecord {
        checks: vec![
            check(
                "accepted commands reached their device",
                truth.accepted,
                truth.lost,
                true,
            ),
            rules,
            check("violated rules fired at all", truth.violations, truth.never, true),
            check(
                "readings of a device grew by one a second",
                truth.devices,
                truth.irregular,
                false,
            ),
        ],
        problem: None,
    }
}

async fn read_back(address: SocketAddr) -> Result<(Vec<Entry>, Devices), String> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let from = entries.last().map_or(0, |last| last.number + 1);
        let next: Commands = get(address, &format!("/commands?from={from}")).await?;
        if next.dropped > 0 {
            return Err(format!("{} commands fell out of its book", next.dropped));
        }
        if next.commands.is_empty() {
            break;
        }
        entries.extend(next.commands);
    }
    Ok((entries, get(address, "/devices").await?))
}

/// Gets JSON on a connection of its own.
async fn get<T: DeserializeOwned>(address: SocketAddr, path: &str) -> Result<T, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.take(LARGEST).read_to_end(&mut reply).await?;
        Ok::<_, std::io::Error>(reply)
    };
    let reply = timeout(REPLY, exchange)
        .await
        .map_err(|_| format!("no whole reply to GET {path} within {} s", REPLY.as_secs()))?;
    let reply = reply.map_err(|error| format!("GET {path}: {error}"))?;
    let (status, body) = parse(&reply).ok_or_else(|| format!("GET {path} was not answered with HTTP"))?;
    if status != 200 {
        return Err(format!("GET {path} was answered {status}"));
    }
    serde_json::from_slice(body).map_err(|error| format!("GET {path}: {error}"))
}

/// Status and body of a reply that ends with its connection.
fn parse(reply: &[u8]) -> Option<(u16, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(reply).ok()? else {
        return None;
    };
    Some((response.code?, &reply[head..]))
}
