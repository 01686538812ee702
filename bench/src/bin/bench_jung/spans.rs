//! Where the time of a task goes: the spans of all services, matched by task.
//!
//! An `ask` span and the `task` span with the same id are the two ends of one exchange. The asker waits for the
//! transport (producer, broker, consumer, and queueing at both ends) and for the service, which may itself wait for
//! other services.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::BufRead;

use serde::Deserialize;

/// A line of a trace file.
#[derive(Debug, Deserialize)]
#[serde(tag = "span", rename_all = "snake_case")]
enum Line {
    /// A service processed a task.
    Task(Task),
    /// A service waited for the result of a task.
    Ask(Ask),
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    took_us: u64,
    busy_us: u64,
}

#[derive(Debug, Deserialize)]
struct Ask {
    id: String,
    to: String,
    task: String,
    took_us: u64,
}

/// The durations of one kind of exchange, in µs.
#[derive(Debug, Default)]
struct Exchange {
    waited: Vec<u64>,
    transport: Vec<u64>,
    in_service: Vec<u64>,
    busy: Vec<u64>,
}

/// The spans of any number of services.
#[derive(Debug, Default)]
pub struct Spans {
    tasks: HashMap<String, Task>,
    asks: Vec<(String, Ask)>,
}

impl Spans {
    /// Adds the trace of a service, the asker of its `ask` spans.
    ///
    /// # Errors
    /// The number of the first invalid line, counted from 1, and the cause.
    pub fn add(&mut self, service: &str, lines: impl BufRead) -> Result<(), (usize, String)> {
        for (number, line) in lines.lines().enumerate() {
            let wrong = |why: String| (number + 1, why);
            let line = line.map_err(|error| wrong(error.to_string()))?;
            match serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))? {
                Line::Task(task) => drop(self.tasks.insert(task.id.clone(), task)),
                Line::Ask(ask) => self.asks.push((service.to_owned(), ask)),
            }
        }
        Ok(())
    }

    /// A table with one row per asker, service and task.
    #[must_use]
    pub fn table(&self) -> String {
        let mut exchanges: BTreeMap<String, Exchange> = BTreeMap::new();
        for (asker, ask) in &self.asks {
            let exchange = exchanges
                .entry(format!("{asker} -> {} {}", ask.to, ask.task))
                .or_default();
            exchange.waited.push(ask.took_us);
            if let Some(task) = self.tasks.get(&ask.id) {
                exchange.transport.push(ask.took_us.saturating_sub(task.took_us));
                exchange.in_service.push(task.took_us);
                exchange.busy.push(task.busy_us);
            }
        }
        let mut text = format!(
            "{:<48}{:>9}{:>10}{:>10}{:>11}{:>12}{:>10}\n",
            "times in us", "count", "p50", "p99", "transport", "service", "busy"
        );
        for (name, exchange) in &mut exchanges {
            let _ = writeln!(
                text,
                "{name:<48}{:>9}{:>10}{:>10}{:>11}{:>12}{:>10}",
                exchange.waited.len(),
                quantile(&mut exchange.waited, 50),
                quantile(&mut exchange.waited, 99),
                quantile(&mut exchange.transport, 50),
                quantile(&mut exchange.in_service, 50),
                quantile(&mut exchange.busy, 50),
            );
        }
        text
    }
}

/// The nearest-rank quantile; 0 if there are no times.
fn quantile(times: &mut [u64], percent: usize) -> u64 {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ends_of_a_task_are_matched() {
        let mut spans = Spans::default();
        let asks = concat!(
            r#"{"span":"ask","to":"user-registry","task":"GET","id":"a","trace":"t","start_us":1,"took_us":900,"busy_us":3}"#,
            "\n",
            r#"{"span":"ask","to":"user-registry","task":"GET","id":"b","trace":"t","start_us":1,"took_us":700,"busy_us":3}"#,
        );
        spans.add("auth-manager", asks.as_bytes()).unwrap();
        let task = r#"{"span":"task","service":"user-registry","task":"GET","id":"a","took_us":40,"busy_us":30,"queued_ms":0}"#;
        spans.add("user-registry", task.as_bytes()).unwrap();
        let table = spans.table();
        let line: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            line,
            [
                "auth-manager",
                "->",
                "user-registry",
                "GET",
                "2",
                "700",
                "900",
                "860",
                "40",
                "30"
            ]
        );
    }

    #[test]
    fn an_invalid_line_is_reported() {
        let (line, _) = Spans::default().add("x", &b"{}"[..]).unwrap_err();
        assert_eq!(line, 1);
    }
}
