//! Little's law as a check of the measurement: mean concurrency = throughput × mean time in the system.
//!
//! Concurrency is integrated over time from the engine's count of outstanding requests, while throughput and mean time come from the request records. The
//! two sides agree only if no request was lost, counted twice or mistimed. (wrk's corrected mean violates the law when the server stalls.)

use std::ops::Range;

use protocol::load::Little;

/// The integral of concurrency over time, and the completed requests, of one thread.
#[derive(Debug, Clone)]
pub struct ConcurrencyIntegral {
    window: Range<u64>,
    outstanding: u64,
    /// When `outstanding` last changed, ns.
    since_ns: u64,
    /// Integral of outstanding requests over the window, requests × ns.
    area: u128,
    completed: u64,
    completed_ns: u128,
}

impl ConcurrencyIntegral {
    pub fn new(window: Range<u64>) -> Self {
        Self {
            window,
            outstanding: 0,
            since_ns: 0,
            area: 0,
            completed: 0,
            completed_ns: 0,
        }
    }

    /// Records that a request was sent.
    pub fn begin(&mut self, now_ns: u64) {
        self.advance(now_ns);
        self.outstanding += 1;
    }

    /// Records that a request sent at `sent_ns` completed.
    pub fn end(&mut self, sent_ns: u64, now_ns: u64) {
        self.advance(now_ns);
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.window.contains(&now_ns) {
            self.completed += 1;
            self.completed_ns += u128::from(now_ns.saturating_sub(sent_ns));
        }
    }

    fn advance(&mut self, now_ns: u64) {
        let from = self.since_ns.clamp(self.window.start, self.window.end);
        let to = now_ns.clamp(self.window.start, self.window.end);
        self.area += u128::from(self.outstanding) * u128::from(to.saturating_sub(from));
        self.since_ns = self.since_ns.max(now_ns);
    }

    /// Ends an open-ended window.
    pub fn close(&mut self, end_ns: u64) {
        self.window.end = self.window.end.min(end_ns);
    }

    pub fn add(&mut self, other: &Self) {
        self.area += other.area;
        self.completed += other.completed;
        self.completed_ns += other.completed_ns;
    }

    #[expect(clippy::cast_precision_loss, reason = "a check with a tolerance")]
    pub fn law(&self) -> Little {
        let window_ns = (self.window.end - self.window.start).max(1) as f64;
        Little {
            concurrency: self.area as f64 / window_ns,
            throughput_per_s: self.completed as f64 * 1e9 / window_ns,
            mean_ns: self.completed_ns as f64 / self.completed.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_holds_for_requests_inside_the_window() {
        let mut integral = ConcurrencyIntegral::new(1000..11_000);
        for n in 0..100 {
            integral.begin(1000 + n * 100);
            integral.end(1000 + n * 100, 1000 + n * 100 + 50);
        }
        let law = integral.law();
        assert!((law.concurrency - 0.5).abs() < 1e-9 && (law.mean_ns - 50.0).abs() < 1e-9);
        assert!((law.ratio() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_lost_request_violates_the_law() {
        let mut integral = ConcurrencyIntegral::new(0..10_000);
        integral.begin(0); // never ends
        integral.begin(0);
        integral.end(0, 10);
        integral.begin(9_999);
        integral.end(9_999, 20_000);
        assert!(integral.law().ratio() > 100.0);
    }

    #[test]
    fn only_the_window_counts() {
        let mut integral = ConcurrencyIntegral::new(100..200);
        integral.begin(0);
        integral.end(0, 150);
        integral.begin(190);
        integral.end(190, 300);
        let law = integral.law();
        assert!((law.concurrency - 0.6).abs() < 1e-9);
        assert!((law.throughput_per_s - 1e7).abs() < 1e-3);
    }
}
