//! What Jung's platform really did: read back from the device gateway after the load, and compared with what was accepted.

use std::net::SocketAddr;
use std::time::Duration;

use loader::jung::reply::Commanded;
use protocol::Name;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::compare::{Commands, Devices, Entry, RULE_DEADLINE, Truth, compare};
use crate::config::Service;
use analysis::store::{ReadbackCheck, ReadbackRecord};

/// How long the rules that were violated last have on top of their deadline.
const PAUSE: Duration = Duration::from_secs(1);

/// How much longer it is waited for rules that have not fired at all: their commands may stand in a queue, which is late but no lie.
const PATIENCE: Duration = Duration::from_secs(30);

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
    RULE_DEADLINE + PAUSE + PATIENCE + REPLY * 3
}

/// Waits until the last rules have had their time, reads the truth back and compares; again, while some rule has not fired at all.
pub async fn check(device_gateway: SocketAddr, accepted: &[Commanded]) -> ReadbackRecord {
    sleep(RULE_DEADLINE + PAUSE).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let truth = match read_back(device_gateway).await {
            Ok((entries, devices)) => compare(accepted, &entries, &devices.devices),
            Err(why) => return unread(format!("the device gateway at {device_gateway}: {why}")),
        };
        if (truth.never == 0 && truth.lost == 0) || Instant::now() >= until {
            return record(&truth);
        }
        sleep(PAUSE).await;
    }
}

fn unread(problem: String) -> ReadbackRecord {
    ReadbackRecord {
        checks: Vec::new(),
        problem: Some(problem),
    }
}

fn record(truth: &Truth) -> ReadbackRecord {
    let check = |what: &str, checked: usize, wrong: usize, binding: bool| ReadbackCheck {
        what: what.to_owned(),
        checked: checked as u64,
        wrong: wrong as u64,
        binding,
        slowest_ns: None,
    };
    let rules = ReadbackCheck {
        slowest_ns: u64::try_from(truth.slowest_rule.as_nanos()).ok(),
        ..check(
            "violated rules fired within 2 s",
            truth.violations,
            truth.unanswered,
            false,
        )
    };
    ReadbackRecord {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;

    /// A device gateway that knows of one command of a user; only when asked a second time, the rule has answered it.
    async fn gateway() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut asked = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let n = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..n]).into_owned();
                let entry = |number: u64, origin: &str, after: f64, at_s: u64, read: &str| {
                    let (command, at_ns) = (Uuid::from_u128(number.into()), at_s * 1_000_000_000);
                    format!(
                        r#"{{"number":{number},"command":"{command}","device":"d","origin":"{origin}","before":1.0,"after":{after:?},"at_ns":{at_ns},"read_at_ns":{read}}}"#
                    )
                };
                let mut known = vec![entry(0, "user", 30.0, 1, "2000000000")];
                if asked > 0 {
                    known.push(entry(1, "rule", 20.0, 7, "null"));
                }
                let body = if request.starts_with("GET /devices ") {
                    asked += 1;
                    r#"{"now_ns":9,"devices":[{"device":"d","value":20.0,"readings":9,"commands":1,"attached_ns":9000000000}]}"#.to_owned()
                } else {
                    let from: usize = request
                        .split("from=")
                        .nth(1)
                        .and_then(|rest| rest.split(' ').next()?.parse().ok())
                        .unwrap();
                    let rest = known.get(from..).unwrap_or_default().join(",");
                    format!(r#"{{"now_ns":9,"dropped":0,"commands":[{rest}]}}"#)
                };
                let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_rule_that_fires_late_is_waited_for_and_told_as_late() {
        let accepted = [Commanded {
            command: Uuid::from_u128(0),
            device: "d".to_owned(),
        }];
        let truth = check(gateway().await, &accepted).await;
        let wrong: Vec<_> = truth.checks.iter().map(|check| (check.checked, check.wrong)).collect();
        assert_eq!(wrong, [(1, 0), (1, 1), (1, 0), (1, 0)], "{truth:?}");
        assert_eq!(truth.checks[1].slowest_ns, Some(5_000_000_000));
        assert!(!truth.checks[1].binding && !truth.is_clean());
    }

    #[tokio::test]
    async fn a_witness_that_is_gone_is_a_problem_with_its_address() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let truth = check(gone, &[]).await;
        let problem = truth.problem.unwrap();
        assert!(
            problem.contains(&gone.to_string()) && problem.contains("/commands"),
            "{problem}"
        );
    }
}
