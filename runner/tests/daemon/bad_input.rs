//! Invalid input: exit codes and messages.

use std::process::{Command, Output};

use crate::lab::{Lab, name};

fn runner(arguments: &[&str]) -> (Option<i32>, String) {
    output(&mut Command::new(env!("CARGO_BIN_EXE_runner")), arguments)
}

fn output(command: &mut Command, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn an_invalid_command_line_exits_with_2_and_help_with_0() {
    let (code, text) = runner(&["--nmae", "x"]);
    assert!(code == Some(2) && text.contains("--name"), "{text}");
    let (code, text) = runner(&["--help"]);
    assert!(code == Some(0) && text.contains("Exit codes"), "{text}");
}

#[test]
fn an_invalid_configuration_exits_with_3_and_prints_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runner.toml");
    std::fs::write(&file, "nmae = 1\n").unwrap();
    let (code, text) = runner(&["--config", file.to_str().unwrap()]);
    assert!(
        code == Some(3) && text.contains("nmae = 1: unknown key; did you mean name?"),
        "{text}"
    );
    std::fs::write(&file, "partitions = -1\nbrokers = \"x\"\n").unwrap();
    let (code, text) = runner(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!((code, text.lines().count()), (Some(3), 3), "{text}");
    assert!(text.ends_with(&format!("2 problems in {}\n", file.display())), "{text}");
    let (code, text) = runner(&["--config", "/nowhere/runner.toml"]);
    assert!(code == Some(3) && text.contains("/nowhere/runner.toml"), "{text}");
}

#[test]
fn an_unreachable_broker_exits_with_4_without_waiting() {
    let lab = Lab::without_broker();
    let (code, text) = output(&mut lab.command(&[]), &["--wait", "0"]);
    assert!(code == Some(4) && text.contains(&lab.bus.brokers), "{text}");
}

#[test]
fn an_unknown_option_of_librdkafka_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runner.toml");
    std::fs::write(&file, "[kafka]\n\"no.such.option\" = 1\n").unwrap();
    let lab = Lab::without_broker();
    let (code, text) = output(&mut lab.command(&[]), &["--config", file.to_str().unwrap()]);
    assert!(code == Some(3) && text.contains("no.such.option"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_or_name_in_use_exits_with_5() {
    let lab = Lab::new().await;
    let runner = lab.runner();
    runner.wait_until_serving(1).await;
    let (code, text) = output(&mut lab.command(&[]), &[]);
    assert!(
        code == Some(6) && text.contains(&format!("pid {}", runner.child.id())),
        "{text}"
    );
    let mut elsewhere = Lab::without_broker();
    elsewhere.name = lab.name.clone();
    let (code, text) = output(&mut elsewhere.command(&[]), &[]);
    assert!(code == Some(6) && text.contains("another `--name`"), "{text}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    let own = name(&format!("own-{}", std::process::id()));
    let (code, text) = output(&mut command, &["--state", "/dev/null/x", "--name", own.as_str()]);
    assert!(code == Some(6) && text.contains("/dev/null/x"), "{text}");
}

#[test]
fn check_as_json_has_the_problems_and_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runner.toml");
    let check = |text: &str| -> (Option<i32>, serde_json::Value) {
        std::fs::write(&file, text).unwrap();
        let (code, text) = runner(&[
            "check",
            "--json",
            "--workload",
            "/bin/sh",
            "--config",
            file.to_str().unwrap(),
        ]);
        (code, serde_json::from_str(&text).unwrap())
    };
    let (code, found) = check("partitions = -1\n");
    assert_eq!((code, &found["ok"]), (Some(3), &false.into()), "{found}");
    assert_eq!(found["problems"][0]["key"], "partitions");
    assert!(found["host"].is_null());
    let (code, found) = check("name = \"lab-2\"\n");
    assert_eq!((code, &found["ok"]), (Some(0), &true.into()), "{found}");
    assert_eq!(
        (&found["problems"], &found["host"]["host"]),
        (&serde_json::json!([]), &"lab-2".into())
    );
    assert!(
        found["host"]["platforms"]
            .as_array()
            .is_some_and(|platforms| platforms.len() > 1)
    );
}

#[test]
fn check_reports_the_platforms() {
    let lab = Lab::without_broker();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    let (code, text) = output(
        &mut command,
        &["check", "--workload", "/bin/sh", "--name", lab.name.as_str()],
    );
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("platform native: available"), "{text}");
    assert!(text.contains("platform docker: "), "{text}");
}
