//! Rate-limited logging of refused messages: one line when a kind of refusal first occurs, then counts at growing intervals, and the total.
//!
//! A peer with the wrong key may send a message every second. One line for each would flood the log.

use std::time::{Duration, Instant};

use tracing::warn;

/// Time from the first line to the first count; doubles with every count.
const FIRST_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum interval between counts.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// A kind of refusal that has not occurred for this long is considered over.
const QUIET: Duration = Duration::from_secs(600);

/// Maximum number of distinct kinds; all others are counted together, since an attacker could make up any number of names.
const MAX_KINDS: usize = 64;

/// Counts of refusals by kind. Pure: returns the lines to log.
#[derive(Debug)]
struct Repeats<K> {
    kinds: Vec<(Option<K>, Count)>,
}

#[derive(Debug)]
struct Count {
    /// The line logged at the first occurrence.
    text: String,
    total: u64,
    /// Occurrences since the last line.
    unreported: u64,
    reported: Instant,
    interval: Duration,
    last: Instant,
}

impl<K: PartialEq> Repeats<K> {
    /// Counts a refusal; returns the line to log if it is the first of its kind.
    fn note(&mut self, kind: K, text: String, now: Instant) -> Option<String> {
        let kind = Some(kind);
        let known = self.kinds.iter().any(|(known, _)| *known == kind);
        let kind = kind.filter(|_| known || self.kinds.len() < MAX_KINDS);
        if let Some((_, count)) = self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            count.total += 1;
            count.unreported += 1;
            count.last = now;
            return None;
        }
        let line = format!("{text} (repeats are counted and reported at growing intervals)");
        let count = Count {
            text,
            total: 1,
            unreported: 0,
            reported: now,
            interval: FIRST_INTERVAL,
            last: now,
        };
        self.kinds.push((kind, count));
        Some(line)
    }

    /// When the next line is due.
    fn next_due(&self) -> Option<Instant> {
        self.kinds.iter().map(|(_, count)| count.due()).min()
    }

    /// The lines that are due: counts of ongoing kinds, totals of those that are over.
    fn due(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        self.kinds.retain_mut(|(_, count)| {
            if now >= count.last + QUIET {
                lines.extend(count.end("stopped"));
                return false;
            }
            if now >= count.due() {
                lines.push(count.report(now));
            }
            true
        });
        lines
    }

    /// The totals of all kinds, when the log is closed.
    fn end(&mut self) -> Vec<String> {
        let ended = self.kinds.drain(..);
        ended.filter_map(|(_, count)| count.end("closed")).collect()
    }
}

impl Count {
    fn due(&self) -> Instant {
        let quiet = self.last + QUIET;
        if self.unreported == 0 {
            quiet
        } else {
            quiet.min(self.reported + self.interval)
        }
    }

    fn report(&mut self, now: Instant) -> String {
        let over = now.duration_since(self.reported).as_secs();
        let line = format!("{} more in the last {over} s: {}", self.unreported, self.text);
        self.unreported = 0;
        self.reported = now;
        self.interval = (self.interval * 2).min(MAX_INTERVAL);
        line
    }

    /// The total; `None` for a single occurrence.
    fn end(&self, how: &str) -> Option<String> {
        (self.total > 1).then(|| format!("{how}, {} in total: {}", self.total, self.text))
    }
}

/// Logs refusals of the kinds `K` as warnings, and the totals when it is dropped.
#[derive(Debug)]
pub struct RefusalLog<K: PartialEq>(Repeats<K>);

impl<K: PartialEq> Default for RefusalLog<K> {
    fn default() -> Self {
        Self(Repeats { kinds: Vec::new() })
    }
}

impl<K: PartialEq> RefusalLog<K> {
    /// Logs a refusal if it is the first of its kind; otherwise counts it.
    pub fn note(&mut self, kind: K, text: String) {
        if let Some(line) = self.0.note(kind, text, Instant::now()) {
            warn!("{line}");
        }
    }

    /// Waits until lines are due and logs them; forever if there is nothing to report. Cancel-safe.
    pub async fn tick(&mut self) {
        let Some(due) = self.0.next_due() else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(due.into()).await;
        for line in self.0.due(Instant::now()) {
            warn!("{line}");
        }
    }
}

impl<K: PartialEq> Drop for RefusalLog<K> {
    fn drop(&mut self) {
        for line in self.0.end() {
            warn!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeats() -> Repeats<u32> {
        Repeats { kinds: Vec::new() }
    }

    /// The lines logged for one refusal per second.
    fn lines_of(seconds: u64) -> (Vec<String>, Repeats<u32>) {
        let (mut repeats, began, mut lines) = (repeats(), Instant::now(), Vec::new());
        for second in 0..seconds {
            let now = began + Duration::from_secs(second);
            lines.extend(repeats.note(1, "unsigned".to_owned(), now));
            lines.extend(repeats.due(now));
        }
        (lines, repeats)
    }

    #[test]
    fn logs_one_line_then_counts_at_growing_intervals_then_the_total() {
        let (lines, mut repeats) = lines_of(100);
        assert_eq!(
            lines,
            [
                "unsigned (repeats are counted and reported at growing intervals)",
                "10 more in the last 10 s: unsigned",
                "20 more in the last 20 s: unsigned",
                "40 more in the last 40 s: unsigned",
            ]
        );
        assert_eq!(repeats.end(), ["closed, 100 in total: unsigned"]);
        assert_eq!(repeats.end(), [] as [&str; 0]);
    }

    #[test]
    fn eight_hours_log_about_a_dozen_lines() {
        let (lines, _) = lines_of(8 * 3600);
        assert!((12..=16).contains(&lines.len()), "{lines:#?}");
    }

    #[test]
    fn a_kind_that_stops_is_logged_with_its_total_and_can_recur() {
        let (_, mut repeats) = lines_of(3);
        let mut lines = Vec::new();
        while let Some(due) = repeats.next_due() {
            lines.extend(repeats.due(due));
        }
        assert_eq!(
            lines,
            ["2 more in the last 10 s: unsigned", "stopped, 3 in total: unsigned"]
        );
        assert!(repeats.note(1, "unsigned".to_owned(), Instant::now()).is_some());
    }

    #[test]
    fn a_single_refusal_is_a_single_line() {
        let (lines, mut repeats) = lines_of(1);
        assert_eq!(lines.len(), 1);
        assert_eq!(repeats.due(Instant::now() + QUIET), [] as [&str; 0]);
        assert_eq!(repeats.next_due(), None);
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let (mut repeats, now) = (repeats(), Instant::now());
        let lines = (0..1000).filter_map(|kind| repeats.note(kind, kind.to_string(), now));
        assert_eq!(lines.count(), MAX_KINDS + 1);
        assert_eq!(repeats.kinds.len(), MAX_KINDS + 1);
        assert_eq!(
            repeats.note(3, String::new(), now),
            None,
            "known kinds keep their count"
        );
    }
}
