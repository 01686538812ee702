//! The table of results; rows are printed as they are measured.

use std::process::ExitCode;

/// Whether a goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Met,
    /// No.
    Missed,
    /// The confidence interval contains the goal.
    Unresolved,
}

impl From<bool> for Verdict {
    fn from(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }
}

/// The counts of verdicts so far.
#[derive(Debug)]
pub struct Table {
    met: u32,
    missed: u32,
    unresolved: u32,
}

impl Table {
    /// Prints the header.
    pub fn begin() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        println!("Linux {}, load {}", kernel.trim(), load.trim());
        println!("| figure | goal | measured | |\n|---|---|---|---|");
        Self {
            met: 0,
            missed: 0,
            unresolved: 0,
        }
    }

    /// A figure with its goal.
    pub fn row(&mut self, what: &str, goal: &str, measured: &str, verdict: impl Into<Verdict>) {
        let (count, word) = match verdict.into() {
            Verdict::Met => (&mut self.met, "met"),
            Verdict::Missed => (&mut self.missed, "NOT MET"),
            Verdict::Unresolved => (&mut self.unresolved, "unresolved"),
        };
        *count += 1;
        println!("| {what} | {goal} | {measured} | {word} |");
    }

    /// A figure without a goal, such as that of another tool.
    pub fn note(&self, what: &str, measured: &str) {
        println!("| {what} | | {measured} | |");
    }

    /// A part that could not be measured.
    pub fn failed(&mut self, part: &str, error: &anyhow::Error) {
        self.row(part, "", &format!("measurement failed: {error:#}"), false);
    }

    /// Prints the counts.
    pub fn end(self) -> ExitCode {
        println!(
            "\n{} met, {} not met, {} unresolved",
            self.met, self.missed, self.unresolved
        );
        ExitCode::from(u8::from(self.missed + self.unresolved > 0))
    }
}
