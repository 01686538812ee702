//! Histograms of the requests of a window.

use hdrhistogram::Histogram;

use super::request::Request;

/// Largest value of a histogram: an hour in ns. Larger ones are recorded as this.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Significant decimal digits of a histogram.
const DIGITS: u8 = 3;

/// Histograms in ns of the requests of the window.
#[derive(Debug, Clone, PartialEq)]
pub struct Histograms {
    /// Response time (done - intended) of requests with a right reply.
    pub response: Histogram<u64>,
    /// Response time of all requests, the failed ones up to where they were given up.
    pub response_all: Histogram<u64>,
    /// Service time (done - sent) of requests with a right reply.
    pub service: Histogram<u64>,
    /// Lag of the generator (sent - intended) of all requests that were sent.
    pub lag: Histogram<u64>,
    /// Connect time (connected - sent) of requests that opened a connection.
    pub connect: Histogram<u64>,
}

impl Histograms {
    /// Empty ones.
    #[must_use]
    pub fn new() -> Self {
        Self {
            response: empty(),
            response_all: empty(),
            service: empty(),
            lag: empty(),
            connect: empty(),
        }
    }

    /// Adds those of another thread or loader; nothing is lost by it.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.response, &other.response),
            (&mut self.response_all, &other.response_all),
            (&mut self.service, &other.service),
            (&mut self.lag, &other.lag),
            (&mut self.connect, &other.connect),
        ];
        for (mine, theirs) in pairs {
            // Only values above the highest could fail, and both have the same highest.
            let _ = mine.add(theirs);
        }
    }

    /// Counts one request of the window.
    pub fn record(&mut self, request: &Request) {
        self.response_all.saturating_record(request.response_ns());
        if let Some(lag) = request.lag_ns() {
            self.lag.saturating_record(lag);
        }
        if let Some(connect) = request.connect_ns() {
            self.connect.saturating_record(connect);
        }
        if let (None, Some(service)) = (request.error, request.service_ns()) {
            self.response.saturating_record(request.response_ns());
            self.service.saturating_record(service);
        }
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants, and a test makes one")]
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("constant bounds are right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_beyond_the_highest_is_kept_as_the_highest() {
        let mut histogram = empty();
        histogram.saturating_record(u64::MAX);
        assert_eq!(histogram.len(), 1);
        assert!(histogram.max() >= HIGHEST_NS);
    }
}
