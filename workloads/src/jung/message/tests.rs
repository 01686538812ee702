//! Golden JSON of every message, and refusal of invalid ones.

use proptest::prelude::*;
use uuid::Uuid;

use super::envelope::{self, EnvelopeError, Head};
use super::*;

const ID: Uuid = Uuid::from_u128(0x11);

fn head() -> Head {
    Head {
        id: ID,
        trace: Uuid::from_u128(0x22),
        from: Service::ApiGateway,
        reply_partition: Some(3),
    }
}

fn user(name: &str) -> UserName {
    UserName::try_from(name.to_owned()).unwrap()
}

fn device(name: &str) -> DeviceId {
    DeviceId::try_from(name.to_owned()).unwrap()
}

/// Compares a task with its golden JSON, and encodes and decodes it.
fn golden<C: Call>(call: C, json: &str, route: &Route<'_>)
where
    C::Tasks: PartialEq + std::fmt::Debug,
{
    let task = call.into_task();
    assert_eq!(serde_json::to_string(&task).unwrap(), json);
    assert_eq!(task.route(), *route);
    let bytes = envelope::task_bytes(head(), &task);
    let (read_head, read) = envelope::read_task::<C::Tasks>(&bytes).unwrap();
    assert_eq!((read_head, read.unwrap()), (head(), task));
    assert!(is_valid_message(&bytes));
}

#[test]
fn tasks_match_their_golden_json() {
    let (u, d) = (user("userX"), device("d1"));
    let command = Uuid::from_u128(7);
    golden(
        GetUser { username: u.clone() },
        r#"{"type":"GET","username":"userX"}"#,
        &Route::Key("userX"),
    );
    golden(
        CreateUser {
            username: u.clone(),
            password: Password("p".into()),
        },
        r#"{"type":"CREATE","username":"userX","password":"p"}"#,
        &Route::Key("userX"),
    );
    golden(
        AddDevice {
            username: u.clone(),
            device: d.clone(),
        },
        r#"{"type":"ADD_DEVICE","username":"userX","device":"d1"}"#,
        &Route::Key("userX"),
    );
    golden(
        AddRule {
            username: u.clone(),
            rule: command,
        },
        r#"{"type":"ADD_RULE","username":"userX","rule":"00000000-0000-0000-0000-000000000007"}"#,
        &Route::Key("userX"),
    );
    golden(
        Auth {
            username: u.clone(),
            password: Password("p".into()),
            owner: u.clone(),
            device: Some(d.clone()),
        },
        r#"{"type":"AUTH","username":"userX","password":"p","owner":"userX","device":"d1"}"#,
        &Route::Key("userX"),
    );
    golden(
        CreateDevice {
            device: d.clone(),
            owner: u,
            gateway: "g".into(),
            value: 20.5,
        },
        r#"{"type":"CREATE","device":"d1","owner":"userX","gateway":"g","value":20.5}"#,
        &Route::Key("d1"),
    );
    golden(
        GetDevice { device: d.clone() },
        r#"{"type":"GET","device":"d1"}"#,
        &Route::Key("d1"),
    );
    golden(
        AbandonDevice { device: d.clone() },
        r#"{"type":"ABANDON","device":"d1"}"#,
        &Route::Key("d1"),
    );
    golden(
        WriteReading {
            device: d.clone(),
            reading: Reading {
                timestamp_ms: 5,
                value: 1.0,
            },
        },
        r#"{"type":"WRITE","device":"d1","reading":{"timestamp_ms":5,"value":1.0}}"#,
        &Route::Key("d1"),
    );
    golden(
        ReadReadings {
            device: d.clone(),
            page: 2,
            size: 10,
        },
        r#"{"type":"READ","device":"d1","page":2,"size":10}"#,
        &Route::Key("d1"),
    );
    golden(
        SendCommand {
            command,
            device: d.clone(),
            value: 3.0,
            origin: Origin::Rule,
        },
        r#"{"type":"COMMAND","command":"00000000-0000-0000-0000-000000000007","device":"d1","value":3.0,"origin":"rule"}"#,
        &Route::Key("d1"),
    );
    let rule = Rule {
        id: command,
        operator: Operator::NotEqual,
        operand: 1.0,
        command: 2.0,
    };
    golden(
        CreateRule {
            device: d.clone(),
            rule,
        },
        r#"{"type":"CREATE","device":"d1","rule":{"id":"00000000-0000-0000-0000-000000000007","operator":"!=","operand":1.0,"command":2.0}}"#,
        &Route::Key("d1"),
    );
    golden(
        GetRules { device: d.clone() },
        r#"{"type":"GET","device":"d1"}"#,
        &Route::Key("d1"),
    );
    golden(
        Attach {
            gateway: "g".into(),
            device: d.clone(),
            value: 0.0,
        },
        r#"{"type":"ATTACH","gateway":"g","device":"d1","value":0.0}"#,
        &Route::Key("d1"),
    );
    golden(
        Actuate {
            gateway: "g".into(),
            command,
            device: d,
            value: 3.0,
            origin: Origin::User,
        },
        r#"{"type":"ACTUATE","gateway":"g","command":"00000000-0000-0000-0000-000000000007","device":"d1","value":3.0,"origin":"user"}"#,
        &Route::Key("d1"),
    );
    golden(
        PingOf::<UserTask>::partition(2),
        r#"{"type":"PING","partition":2}"#,
        &Route::Partition(2),
    );
}

#[test]
fn envelopes_match_their_golden_json() {
    let task = UserTask::Get(GetUser {
        username: user("userX"),
    });
    let json = String::from_utf8(envelope::task_bytes(head(), &task)).unwrap();
    assert_eq!(
        json,
        r#"{"version":1,"head":{"id":"00000000-0000-0000-0000-000000000011","trace":"00000000-0000-0000-0000-000000000022","from":"api-gateway","reply":3},"task":{"type":"GET","username":"userX"}}"#
    );
    let answer: Result<UserAnswer, _> = Ok(UserCreated {}.into());
    assert_eq!(
        String::from_utf8(envelope::result_bytes(ID, answer)).unwrap(),
        r#"{"version":1,"id":"00000000-0000-0000-0000-000000000011","outcome":{"answer":{"type":"CREATE"}}}"#
    );
    let fault: Result<UserAnswer, _> = Err(Fault::not_found("user", "userX"));
    let bytes = envelope::result_bytes(ID, fault.clone());
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        r#"{"version":1,"id":"00000000-0000-0000-0000-000000000011","outcome":{"fault":{"kind":"not_found","what":"user userX not found"}}}"#
    );
    assert_eq!(envelope::read_result::<UserTask>(&bytes, ID).unwrap(), fault);
}

#[test]
fn invalid_envelopes_are_refused() {
    let good = String::from_utf8(envelope::task_bytes(
        head(),
        &UserTask::Get(GetUser { username: user("u") }),
    ))
    .unwrap();
    for bad in [
        String::new(),
        "null".into(),
        good[..good.len() - 1].to_owned(),
        good.replace("\"reply\":3", "\"reply\":3,\"more\":1"),
        good.replace("api-gateway", "somebody"),
        good.replace("\"reply\":3", "\"reply\":3000000000"),
    ] {
        assert!(
            matches!(
                envelope::read_task::<UserTask>(bad.as_bytes()),
                Err(EnvelopeError::Malformed(_))
            ),
            "{bad}"
        );
    }
    let future = good.replace("\"version\":1", "\"version\":2");
    assert!(matches!(
        envelope::read_task::<UserTask>(future.as_bytes()),
        Err(EnvelopeError::Version(2))
    ));
    let huge = vec![b' '; envelope::MAX_MESSAGE + 1];
    assert!(matches!(
        envelope::read_task::<UserTask>(&huge),
        Err(EnvelopeError::TooLarge(_))
    ));
    let other = envelope::result_bytes::<UserAnswer>(Uuid::nil(), Ok(UserCreated {}.into()));
    assert!(matches!(
        envelope::read_result::<UserTask>(&other, ID),
        Err(EnvelopeError::WrongTask(_))
    ));
}

#[test]
fn invalid_task_in_a_valid_envelope_is_a_malformed_fault() {
    let good = String::from_utf8(envelope::task_bytes(
        head(),
        &UserTask::Get(GetUser { username: user("u") }),
    ))
    .unwrap();
    for (from, to) in [
        ("\"GET\"", "\"STEAL\""),
        ("\"username\":\"u\"", "\"username\":\"../u\""),
        ("\"username\":\"u\"", "\"username\":7"),
        ("\"username\":\"u\"", "\"username\":\"u\",\"admin\":true"),
        (",\"username\":\"u\"", ""),
    ] {
        let (head, task) = envelope::read_task::<UserTask>(good.replace(from, to).as_bytes()).unwrap();
        assert_eq!(head.id, ID);
        assert_eq!(task.unwrap_err().kind, FaultKind::Malformed, "{to}");
    }
}

#[test]
fn infinite_numbers_are_refused() {
    let json = r#"{"type":"ATTACH","gateway":"g","device":"d1","value":1e999}"#;
    assert!(serde_json::from_str::<GatewayTask>(json).is_err());
}

proptest! {
    /// Neither random bytes nor corrupted messages cause a panic.
    #[test]
    fn arbitrary_bytes_never_panic(mut noise in prop::collection::vec(any::<u8>(), 0..200), cut in 0..400_usize, at in 0..400_usize) {
        let _ = is_valid_message(&noise);
        let rule = Rule { id: ID, operator: Operator::Less, operand: 1.0, command: 2.0 };
        let mut bytes = envelope::task_bytes(head(), &RuleTask::Create(CreateRule { device: device("d"), rule }));
        let at = at.min(bytes.len());
        noise.truncate(4);
        bytes.splice(at..(at + noise.len()).min(bytes.len()), noise);
        bytes.truncate(cut);
        let _ = is_valid_message(&bytes);
    }
}
