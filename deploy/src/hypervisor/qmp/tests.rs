//! Tests with a scripted monitor.

use tokio::io::{DuplexStream, duplex, split};

use super::*;

/// A monitor that sends the greeting, then replies to each line with the next of `answers`, then closes the connection.
async fn monitor(answers: &'static [&'static str]) -> Result<Qmp, QmpError> {
    let (ours, theirs) = duplex(1 << 16);
    tokio::spawn(play(theirs, answers));
    let (from, to) = split(ours);
    Qmp::open(from, to).await
}

async fn play(stream: DuplexStream, answers: &'static [&'static str]) {
    let (from, mut to) = split(stream);
    let mut lines = BufReader::new(from).lines();
    to.write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n")
        .await
        .unwrap();
    for answer in answers {
        let asked = lines.next_line().await.unwrap().unwrap();
        assert!(serde_json::from_str::<Value>(&asked).unwrap()["execute"].is_string());
        to.write_all(answer.as_bytes()).await.unwrap();
        to.write_all(b"\r\n").await.unwrap();
    }
}

const OK: &str = "{\"return\": {}}";

#[tokio::test]
async fn replies_are_told_from_events() {
    let mut qmp = monitor(&[
        OK,
        "{\"event\": \"RESUME\", \"timestamp\": {}}\r\n{\"return\": {\"status\": \"running\", \"singlestep\": false}}",
        "{\"return\": {\"enabled\": false, \"present\": true}}",
        "{\"return\": [{\"cpu-index\": 0, \"thread-id\": 17, \"target\": \"x86_64\"}]}",
        "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n{\"return\": {}}",
    ])
    .await
    .unwrap();
    assert_eq!(qmp.status().await.unwrap(), "running");
    let kvm = Kvm {
        enabled: false,
        present: true,
    };
    assert_eq!(qmp.kvm().await.unwrap(), kvm);
    assert_eq!(qmp.vcpus().await.unwrap(), [Vcpu { index: 0, thread: 17 }]);
    qmp.powerdown().await.unwrap();
    let events = qmp.events().borrow().clone();
    let reasons: Vec<_> = events.into_iter().map(|event| (event.name, event.reason)).collect();
    assert_eq!(
        reasons,
        [
            ("RESUME".to_owned(), None),
            ("SHUTDOWN".to_owned(), Some("guest-reset".to_owned()))
        ]
    );
}

#[tokio::test]
async fn a_refusal_has_qemus_message() {
    const REFUSAL: &str = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}";
    let mut qmp = monitor(&[OK, REFUSAL]).await.unwrap();
    let error = qmp.powerdown().await.unwrap_err().to_string();
    assert_eq!(error, "QEMU refused system_powerdown: not now");
}

#[tokio::test]
async fn a_closed_connection_is_an_error() {
    let mut qmp = monitor(&[OK]).await.unwrap();
    assert!(matches!(qmp.status().await, Err(QmpError::Closed)));
    qmp.quit().await.unwrap();
}

#[tokio::test]
async fn an_invalid_reply_is_quoted() {
    let mut qmp = monitor(&[OK, "hello", "{\"return\": {\"status\": 7}}"]).await.unwrap();
    let error = qmp.status().await.unwrap_err().to_string();
    assert!(error.contains("hello"), "{error}");
    assert!(matches!(qmp.status().await, Err(QmpError::Invalid { .. })));
}

#[test]
fn a_halted_cpu_has_interrupts_disabled() {
    let cpu = |flags: &str, halted: u8| {
        format!("CPU#0\nRAX=0 RIP=ffff RFL={flags} [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT={halted}\nES =0000\n")
    };
    assert!(all_halted(&cpu("00000046", 1)));
    assert!(!all_halted(&cpu("00000246", 1)), "an idle kernel waits for interrupts");
    assert!(!all_halted(&cpu("00000046", 0)));
    assert!(!all_halted(&(cpu("00000046", 1) + &cpu("00000246", 1))));
    assert!(!all_halted(""));
}
