//! Signals, in a process of its own: this file holds one test that sends them to itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use nix::sys::signal::{Signal, raise};

/// Set in the child that is to be ended.
const CHILD: &str = "JUNG_TEST_SHUTDOWN_CHILD";

#[test]
fn the_first_signal_asks_and_the_second_ends_with_130() {
    if std::env::var_os(CHILD).is_some() {
        return be_the_child();
    }
    let this = std::env::current_exe().unwrap();
    let output = std::process::Command::new(this)
        .env(CHILD, "1")
        .arg("--nocapture")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("cancelled by the first"), "{said}");
    assert_eq!(output.status.code(), Some(130), "{said}");
}

fn be_the_child() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let token = controller::shutdown::on_signals().unwrap();
        assert!(!token.is_cancelled());
        raise(Signal::SIGTERM).unwrap();
        token.cancelled().await;
        println!("cancelled by the first");
        raise(Signal::SIGINT).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        panic!("still there after the second");
    });
}
