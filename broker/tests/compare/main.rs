//! Sends the same requests to this broker and to Apache Kafka and compares error codes and structure of the responses.
//!
//! [`normalize`] removes intended differences: ids, addresses, the cluster, messages, settings that this broker does not
//! have. Everything else must be equal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod groups;
mod normalize;
mod records;
#[path = "../support/mod.rs"]
mod support;
mod topics;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use normalize::normalize;
use support::raw::RawClient;
use support::tools::ApacheKafka;

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn topic(s: &str) -> TopicName {
    TopicName(text(s))
}

fn group(s: &str) -> GroupId {
    GroupId(text(s))
}

/// Both brokers, and the differences found.
struct Pair {
    ours: RawClient,
    theirs: RawClient,
    differences: Vec<String>,
    compared: usize,
}

impl Pair {
    /// Sends the request to both; returns both responses before normalization.
    fn ask(&mut self, what: &str, key: ApiKey, version: i16, body: RequestKind) -> [Option<ResponseKind>; 2] {
        self.ask_each(what, key, version, [body.clone(), body])
    }

    /// Like `ask`, with separate requests that contain ids allocated by the brokers.
    fn ask_each(&mut self, what: &str, key: ApiKey, version: i16, body: [RequestKind; 2]) -> [Option<ResponseKind>; 2] {
        let [to_us, to_them] = body;
        // Kafka's coordinator may still be loading after startup.
        let theirs = loop {
            match self.theirs.request(key, version, &to_them) {
                Some(answer) if is_loading(&answer) => {}
                answer => break answer,
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        };
        let ours = self.ours.request(key, version, &to_us);
        let (a, b) = (ours.clone().map(normalize), theirs.clone().map(normalize));
        self.compared += 1;
        if a != b {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            let from = |text: &str| text.chars().skip(same.saturating_sub(60)).take(120).collect::<String>();
            let (a, b) = (from(&a), from(&b));
            self.differences
                .push(format!("{what} ({key:?} v{version})\n  ours   {a}\n  theirs {b}"));
        }
        [ours, theirs]
    }
}

/// COORDINATOR_LOAD_IN_PROGRESS (14), COORDINATOR_NOT_AVAILABLE (15), NOT_COORDINATOR (16).
fn is_loading(answer: &ResponseKind) -> bool {
    match answer {
        ResponseKind::FindCoordinator(f) => {
            [14, 15, 16].contains(&f.error_code) || f.coordinators.iter().any(|c| [14, 15, 16].contains(&c.error_code))
        }
        ResponseKind::JoinGroup(j) => [14, 15, 16].contains(&j.error_code),
        ResponseKind::InitProducerId(i) => [14, 15, 16].contains(&i.error_code),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Apache Kafka"]
async fn responses_match_apache_kafka() {
    let apache = ApacheKafka::start();
    let running = support::start_with(|config| {
        config.session_timeout_min = std::time::Duration::from_secs(6);
        config.auto_create = false;
    })
    .await;
    let mut pair = Pair {
        ours: RawClient::connect(&running.address),
        theirs: RawClient::connect(&apache.address),
        differences: Vec::new(),
        compared: 0,
    };
    topics::topics(&mut pair);
    records::records(&mut pair);
    records::fetching(&mut pair);
    groups::groups(&mut pair);
    topics::settings(&mut pair);
    println!("{} responses compared", pair.compared);
    assert!(pair.compared > 100, "{}", pair.compared);
    assert!(
        pair.differences.is_empty(),
        "{} differ:\n{}",
        pair.differences.len(),
        pair.differences.join("\n")
    );
}
