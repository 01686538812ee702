//! Little's law as a check of the measurement: mean concurrency = throughput x mean time in the system.
//!
//! Concurrency is integrated over time from the engine's own count of requests under way, and
//! throughput and mean time are taken from the requests, so the two sides meet only if no request was
//! lost, counted twice or timed wrongly. (wrk's corrected mean breaks the law once the server stalls.)

use std::ops::Range;

use protocol::load::Little;

/// What one thread gathers for the law.
#[derive(Debug, Clone)]
pub struct Integral {
    window: Range<u64>,
    under_way: u64,
    /// When `under_way` last changed, ns.
    since_ns: u64,
    /// Sum of requests under way x ns, within the window.
    area: u128,
    ended: u64,
    ended_ns: u128,
}

impl Integral {
    pub fn new(window: Range<u64>) -> Self {
        Self {
            window,
            under_way: 0,
            since_ns: 0,
            area: 0,
            ended: 0,
            ended_ns: 0,
        }
    }

    /// A request was sent.
    pub fn begin(&mut self, now_ns: u64) {
        self.advance(now_ns);
        self.under_way += 1;
    }

    /// A request that was sent at `sent_ns` is done.
    pub fn end(&mut self, sent_ns: u64, now_ns: u64) {
        self.advance(now_ns);
        self.under_way = self.under_way.saturating_sub(1);
        if self.window.contains(&now_ns) {
            self.ended += 1;
            self.ended_ns += u128::from(now_ns.saturating_sub(sent_ns));
        }
    }

    fn advance(&mut self, now_ns: u64) {
        let from = self.since_ns.clamp(self.window.start, self.window.end);
        let to = now_ns.clamp(self.window.start, self.window.end);
        self.area += u128::from(self.under_way) * u128::from(to.saturating_sub(from));
        self.since_ns = self.since_ns.max(now_ns);
    }

    /// Ends a window that was open, where the last request ended.
    pub fn close(&mut self, end_ns: u64) {
        self.window.end = self.window.end.min(end_ns);
    }

    pub fn add(&mut self, other: &Self) {
        self.area += other.area;
        self.ended += other.ended;
        self.ended_ns += other.ended_ns;
    }

    #[expect(clippy::cast_precision_loss, reason = "a check within a percent")]
    pub fn law(&self) -> Little {
        let window_ns = (self.window.end - self.window.start).max(1) as f64;
        Little {
            concurrency: self.area as f64 / window_ns,
            throughput_per_s: self.ended as f64 * 1e9 / window_ns,
            mean_ns: self.ended_ns as f64 / self.ended.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_holds_for_requests_inside_the_window() {
        let mut integral = Integral::new(1000..11_000);
        for n in 0..100 {
            integral.begin(1000 + n * 100);
            integral.end(1000 + n * 100, 1000 + n * 100 + 50);
        }
        let law = integral.law();
        assert!((law.concurrency - 0.5).abs() < 1e-9 && (law.mean_ns - 50.0).abs() < 1e-9);
        assert!((law.ratio() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_request_that_is_lost_breaks_the_law() {
        let mut integral = Integral::new(0..10_000);
        integral.begin(0); // never ends
        integral.begin(0);
        integral.end(0, 10);
        integral.begin(9_999);
        integral.end(9_999, 20_000);
        assert!(integral.law().ratio() > 100.0);
    }

    #[test]
    fn what_lies_outside_the_window_does_not_count() {
        let mut integral = Integral::new(100..200);
        integral.begin(0);
        integral.end(0, 150);
        integral.begin(190);
        integral.end(190, 300);
        let law = integral.law();
        assert!((law.concurrency - 0.6).abs() < 1e-9);
        assert!((law.throughput_per_s - 1e7).abs() < 1e-3);
    }
}
