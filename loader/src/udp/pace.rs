//! When the next packet is due: pure.

/// The pace of one flow.
///
/// In an open loop packet n is due at `start + n x pace`, whatever comes back. With a window a packet may be due when a place in the window
/// becomes free, and the pace goes on from there: what was not sent meanwhile is not made up for, since nobody ordered it at that time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When the next packet is due, if the window has room.
    next_ns: u64,
    pace_ns: u64,
    /// Places in the window; `u64::MAX`: an open loop.
    window: u64,
    under_way: u64,
}

impl Pace {
    /// The pace of a stream that begins at `start_ns`.
    pub fn new(start_ns: u64, pace_ns: u64, window: Option<u64>) -> Self {
        Self {
            next_ns: start_ns,
            pace_ns,
            window: window.unwrap_or(u64::MAX),
            under_way: 0,
        }
    }

    /// When the next packet is due; `None` while the window is full.
    pub fn next_ns(&self) -> Option<u64> {
        (self.under_way < self.window).then_some(self.next_ns)
    }

    /// A packet goes out; returns when it was due.
    pub fn sent(&mut self) -> u64 {
        let due = self.next_ns;
        self.next_ns += self.pace_ns;
        self.under_way += 1;
        due
    }

    /// A packet is not under way any more, since `now_ns`.
    pub fn back(&mut self, now_ns: u64) {
        if self.under_way == self.window {
            self.next_ns = self.next_ns.max(now_ns);
        }
        self.under_way -= 1;
    }

    /// Packets under way.
    pub fn under_way(&self) -> u64 {
        self.under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_waits_for_nothing() {
        let mut pace = Pace::new(100, 7, None);
        let due: Vec<_> = (0..4).map(|_| pace.sent()).collect();
        assert_eq!(due, [100, 107, 114, 121]);
        pace.back(5000);
        assert_eq!(pace.next_ns(), Some(128));
    }

    #[test]
    fn a_full_window_shifts_the_pace() {
        let mut pace = Pace::new(0, 10, Some(2));
        assert_eq!((pace.sent(), pace.sent(), pace.next_ns()), (0, 10, None));
        pace.back(500);
        assert_eq!(pace.next_ns(), Some(500));
        assert_eq!((pace.sent(), pace.next_ns()), (500, None));
        pace.back(505);
        // The pace holds although there was room earlier.
        assert_eq!(pace.next_ns(), Some(510));
        assert_eq!(pace.under_way(), 1);
    }
}
