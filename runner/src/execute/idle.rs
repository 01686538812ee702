//! The whole host just before the services are started: what it does when nothing of the trial runs.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::event::IdleWindow;

use crate::sampler::{parse, thread};

/// Looks at the whole host twice, `length` apart; `None`: nothing was asked for, or it cannot be read. `root` is `/proc`, but in tests.
pub(super) async fn measure(root: &Path, length: Duration) -> Option<IdleWindow> {
    if length.is_zero() {
        return None;
    }
    let (first, began) = (thread::host(root)?, Instant::now());
    tokio::time::sleep(length).await;
    let (last, took) = (thread::host(root)?, began.elapsed());
    Some(IdleWindow {
        length_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        host: parse::host_between(&first, &last),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_window_is_as_long_as_it_was_and_nothing_where_nothing_can_be_read() {
        let length = Duration::from_millis(50);
        let window = measure("/proc".as_ref(), length).await.unwrap();
        let host = &window.host;
        assert!(window.length_ns >= 50_000_000);
        assert!(host.idle_ticks + host.user_ticks + host.system_ticks + host.steal_ticks > 0);
        assert_eq!(measure("/nowhere".as_ref(), length).await, None);
        assert_eq!(measure("/proc".as_ref(), Duration::ZERO).await, None);
    }
}
