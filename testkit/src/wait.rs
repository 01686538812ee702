//! Waiting for a condition. The timeouts are what only a hang exceeds, however busy the machine is; no test is decided by a sleep.

use std::time::{Duration, Instant};

/// For everything but guests.
pub const TIMEOUT: Duration = Duration::from_secs(180);
/// For what boots emulated guests.
pub const GUEST_TIMEOUT: Duration = Duration::from_secs(1200);

const INTERVAL: Duration = Duration::from_millis(20);

/// Blocks until a condition holds.
///
/// # Panics
/// After [`TIMEOUT`].
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    within(TIMEOUT, what, condition);
}

/// Blocks until a condition holds.
///
/// # Panics
/// After the timeout.
#[track_caller]
pub fn within(timeout: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", timeout.as_secs());
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until a condition holds, without blocking the runtime.
///
/// # Panics
/// After [`GUEST_TIMEOUT`].
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + GUEST_TIMEOUT;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            GUEST_TIMEOUT.as_secs()
        );
        tokio::time::sleep(INTERVAL).await;
    }
}
