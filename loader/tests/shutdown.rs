//! Signals, in a process of its own: this file holds one test that sends them to itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use tokio::runtime::Runtime;

/// Names the part of a child that this program was started again for.
const CHILD: &str = "JUNG_TEST_SHUTDOWN_CHILD";

#[test]
fn the_first_signal_asks_and_the_second_ends_with_130() {
    match std::env::var(CHILD).as_deref() {
        Ok("twice") => return ended_by_the_second(),
        Ok("nohup") => return outlives_its_terminal(),
        _ => {}
    }
    let output = child("twice", "exec env --default-signal=HUP,INT,TERM \"$0\" --nocapture");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("cancelled by the first"), "{said}");
    assert_eq!(output.status.code(), Some(130), "{said}");
    let output = child(
        "nohup",
        "trap '' HUP; exec env --default-signal=INT,TERM \"$0\" --nocapture",
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("cancelled by SIGTERM only"), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// This program again, in that part, started by a line of shell; what a background job or `nohup` made us ignore must not pass on.
fn child(part: &str, line: &str) -> Output {
    let this = std::env::current_exe().unwrap();
    Command::new("sh")
        .arg("-c")
        .arg(line)
        .arg(this)
        .env(CHILD, part)
        .output()
        .unwrap()
}

fn ended_by_the_second() {
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

fn outlives_its_terminal() {
    Runtime::new().unwrap().block_on(async {
        let token = loader::shutdown::on_signals("ending").unwrap();
        // Were it listened to, it would count as the first, and SIGTERM would end the process.
        raise(Signal::SIGHUP).unwrap();
        raise(Signal::SIGHUP).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!token.is_cancelled());
        raise(Signal::SIGTERM).unwrap();
        token.cancelled().await;
        println!("cancelled by SIGTERM only");
    });
}
