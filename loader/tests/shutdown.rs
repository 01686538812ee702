//! Signal handling. The test sends signals to child processes that run this same program.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use tokio::runtime::Runtime;

/// Selects the role of a child process.
const CHILD: &str = "JUNG_TEST_SHUTDOWN_CHILD";

#[test]
fn the_first_signal_cancels_and_the_second_exits_with_130() {
    match std::env::var(CHILD).as_deref() {
        Ok("twice") => return exits_on_the_second(),
        Ok("nohup") => return ignores_hangup(),
        _ => {}
    }
    let output = child("twice", "exec env --default-signal=HUP,INT,TERM \"$0\" --nocapture");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("cancelled by the first"), "{text}");
    assert_eq!(output.status.code(), Some(130), "{text}");
    let output = child(
        "nohup",
        "trap '' HUP; exec env --default-signal=INT,TERM \"$0\" --nocapture",
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("cancelled by SIGTERM only"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}

/// Runs this program in a role, by a shell command that resets the signals that this process ignores.
fn child(role: &str, command: &str) -> Output {
    let this = std::env::current_exe().unwrap();
    Command::new("sh")
        .arg("-c")
        .arg(command)
        .arg(this)
        .env(CHILD, role)
        .output()
        .unwrap()
}

fn exits_on_the_second() {
    Runtime::new().unwrap().block_on(async {
        let token = loader::shutdown::on_signals("ending").unwrap();
        assert!(!token.is_cancelled());
        raise(Signal::SIGHUP).unwrap();
        token.cancelled().await;
        println!("cancelled by the first");
        raise(Signal::SIGINT).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        panic!("still there after the second");
    });
}

fn ignores_hangup() {
    Runtime::new().unwrap().block_on(async {
        let token = loader::shutdown::on_signals("ending").unwrap();
        // If it were handled, it would count as the first signal, and SIGTERM would end the process.
        raise(Signal::SIGHUP).unwrap();
        raise(Signal::SIGHUP).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!token.is_cancelled());
        raise(Signal::SIGTERM).unwrap();
        token.cancelled().await;
        println!("cancelled by SIGTERM only");
    });
}
