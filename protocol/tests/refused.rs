//! Invalid messages are refused with a specific error.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use protocol::command::{Ping, Stop, StopReason};
use protocol::envelope::{Claim, EnvelopeError, MAX_BYTES, VERSION};
use protocol::event::{Failed, LogTail, Stage};
use protocol::sign::SigningKey;
use protocol::summary::Teardown;
use protocol::{AttemptId, Command, Envelope, Epoch, Event, Name};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ping() -> Envelope<Command> {
    Envelope::new(
        name("lab"),
        Some(AttemptId::fresh()),
        name("night"),
        Epoch(1),
        Command::Ping(Ping {}),
    )
}

fn changed(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(&ping().encode(None).unwrap()).unwrap();
    change(json.as_object_mut().unwrap());
    json.to_string().into_bytes()
}

fn refusal(bytes: &[u8]) -> EnvelopeError {
    Envelope::<Command>::decode(bytes, None).unwrap_err()
}

#[test]
fn every_defect_has_a_specific_error() {
    let good = ping().encode(None).unwrap();
    assert!(matches!(
        refusal(&vec![b' '; MAX_BYTES + 1]),
        EnvelopeError::Oversized { .. }
    ));
    assert!(matches!(refusal(b""), EnvelopeError::Truncated { .. }));
    assert!(matches!(
        refusal(&good[..good.len() - 1]),
        EnvelopeError::Truncated { .. }
    ));
    assert!(matches!(refusal(b"hello"), EnvelopeError::Malformed { .. }));
    assert!(matches!(refusal(b"{}"), EnvelopeError::Malformed { .. }));
    assert!(matches!(refusal(&[0xff, 0xfe]), EnvelopeError::Malformed { .. }));
    let unknown = changed(|json| drop(json.insert("surprise".into(), 1.into())));
    assert!(matches!(refusal(&unknown), EnvelopeError::BadEnvelope { .. }));
    let injected = changed(|json| drop(json.insert("host".into(), "../etc".into())));
    assert!(matches!(refusal(&injected), EnvelopeError::BadEnvelope { .. }));
    let nonsense = changed(|json| drop(json.insert("body".into(), serde_json::json!({"DANCE": {}}))));
    assert!(matches!(refusal(&nonsense), EnvelopeError::BadBody { .. }));
}

#[test]
fn other_versions_are_refused_even_with_unknown_fields() {
    for other in [VERSION - 1, VERSION + 1] {
        let message = changed(|json| {
            json.insert("version".into(), other.into());
            json.insert("new_field".into(), true.into());
        });
        let error = refusal(&message).to_string();
        let both = format!("message has protocol version {other}, this program uses version {VERSION}");
        assert!(error.starts_with(&both), "{error}");
    }
}

#[test]
fn the_claim_of_a_refused_message_is_decoded() {
    let claim = Claim::of(&changed(|json| {
        json.insert("version".into(), (VERSION + 1).into());
        json.insert("new_field".into(), true.into());
    }));
    assert_eq!(
        (claim.host, claim.controller, claim.epoch),
        (Some(name("lab")), Some(name("night")), Some(Epoch(1)))
    );
    let invalid = Claim::of(&changed(|json| drop(json.insert("host".into(), "../etc".into()))));
    assert_eq!((invalid.host, invalid.controller), (None, Some(name("night"))));
    for bytes in [&b""[..], b"hello", b"[]", b"{\"host\": 1}"] {
        assert_eq!(Claim::of(bytes), Claim::default());
    }
}

#[test]
fn a_message_over_the_limit_cannot_be_sent() {
    let logs = vec![LogTail {
        service: name("tcp"),
        text: "x".repeat(MAX_BYTES),
    }];
    let failed = Failed {
        stage: Stage::Start,
        why: String::new(),
        logs,
        teardown: Teardown::default(),
    };
    let envelope = Envelope::new(name("lab"), None, name("night"), Epoch(1), Event::Failed(failed));
    assert!(matches!(
        envelope.encode(None).unwrap_err(),
        EnvelopeError::Oversized { .. }
    ));
}

#[test]
fn with_a_key_only_its_signature_is_accepted() {
    let key = SigningKey::new(b"0123456789abcdef").unwrap();
    let other = SigningKey::new(b"fedcba9876543210").unwrap();
    let signed = ping().encode(Some(&key)).unwrap();
    let bad = |bytes: &[u8]| {
        matches!(
            Envelope::<Command>::decode(bytes, Some(&key)),
            Err(EnvelopeError::BadSignature { .. })
        )
    };
    assert!(Envelope::<Command>::decode(&signed, Some(&key)).is_ok());
    let unsigned = Envelope::<Command>::decode(&ping().encode(None).unwrap(), Some(&key));
    assert!(matches!(unsigned, Err(EnvelopeError::Unsigned { .. })), "{unsigned:?}");
    assert!(bad(&ping().encode(Some(&other)).unwrap()), "another key");
    let mut forged: serde_json::Value = serde_json::from_slice(&signed).unwrap();
    forged["body"] = serde_json::to_value(Command::Stop(Stop {
        reason: StopReason::Cancelled,
    }))
    .unwrap();
    assert!(bad(forged.to_string().as_bytes()), "another body");
    let mut forged: serde_json::Value = serde_json::from_slice(&signed).unwrap();
    forged["host"] = "other".into();
    assert!(bad(forged.to_string().as_bytes()), "another host");
}

proptest! {
    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Envelope::<Command>::decode(&bytes, None).is_err());
    }

    #[test]
    fn a_truncated_message_is_refused(part in 0.0f64..1.0) {
        let whole = ping().encode(None).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of a length")]
        let cut = (whole.len() as f64 * part) as usize;
        let truncated = matches!(refusal(&whole[..cut]), EnvelopeError::Truncated { .. });
        prop_assert!(truncated);
    }
}
