//! Response time over the measurement window, for users who send a list of requests in order: figure 27 of the thesis.

use crate::store::Window;
use loader::Request;

/// The number of slices of a window.
const SLICES: usize = 100;

/// Sums of response times by the slice of the window in which the requests were scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResponseProfile(Vec<Slice>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    sum_ns: u128,
    requests: u64,
}

impl ResponseProfile {
    /// An empty profile.
    pub fn new() -> Self {
        Self(vec![Slice::default(); SLICES])
    }

    /// Adds a request if it succeeded.
    pub fn record(&mut self, request: &Request, window: &Window) {
        let length = u128::from(window.end_ns.saturating_sub(window.start_ns).max(1));
        let since = u128::from(request.intended_ns.saturating_sub(window.start_ns));
        let index = usize::try_from(since * SLICES as u128 / length).unwrap_or(usize::MAX);
        if let (None, false, Some(slice)) = (request.error, request.warm_up, self.0.get_mut(index)) {
            slice.sum_ns += u128::from(request.response_ns());
            slice.requests += 1;
        }
    }

    /// Adds the profile of another trial.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.sum_ns += theirs.sum_ns;
            mine.requests += theirs.requests;
        }
    }

    /// The mean of each slice with requests: (percent of the window, ms).
    pub fn means(&self) -> Vec<(f64, f64)> {
        let point = |(index, slice): (usize, &Slice)| {
            let mean_ns = slice.sum_ns as f64 / slice.requests as f64;
            ((index as f64 + 0.5) * 100.0 / SLICES as f64, mean_ns / 1e6)
        };
        let filled = self.0.iter().enumerate().filter(|(_, slice)| slice.requests > 0);
        filled.map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loader::ErrorKind;

    #[test]
    fn requests_count_in_the_slice_of_their_scheduled_time() {
        let window = Window {
            origin_epoch_ns: 0,
            start_ns: 1_000,
            end_ns: 101_000_000,
            runner_start_ns: 0,
            runner_end_ns: 0,
            error_ns: 0,
        };
        let request = |intended_ns, took_ns| Request {
            intended_ns,
            done_ns: intended_ns + took_ns,
            sent_ns: Some(intended_ns),
            connected_ns: None,
            first_byte_ns: None,
            label: 0,
            status: 200,
            bytes_in: 0,
            bytes_out: 0,
            connection: 0,
            thread: 0,
            in_flight: 0,
            error: None,
            warm_up: false,
        };
        let mut profile = ResponseProfile::new();
        profile.record(&request(1_000, 2_000_000), &window);
        profile.record(&request(1_000, 4_000_000), &window);
        profile.record(&request(100_999_000, 1_000_000), &window);
        let failed = Request {
            error: Some(ErrorKind::Timeout),
            ..request(1_000, 9_000_000)
        };
        profile.record(&failed, &window);
        let mut twice = profile.clone();
        twice.add(&profile);
        assert_eq!(twice.means(), [(0.5, 3.0), (99.5, 1.0)]);
    }
}
