//! The table.

use std::fmt;

/// Lines of the table, in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Rows(Vec<Row>);

#[derive(Debug)]
struct Row {
    what: String,
    ours: String,
    theirs: String,
    must: String,
    met: bool,
}

impl Rows {
    /// Adds a line, and shows it at once.
    pub fn add(&mut self, what: &str, ours: String, theirs: String, must: &str, met: bool) {
        let row = Row {
            what: what.to_owned(),
            ours,
            theirs,
            must: must.to_owned(),
            met,
        };
        eprintln!("   {row}");
        self.0.push(row);
    }

    /// A line of what must be so many times another.
    pub fn ratio(&mut self, what: &str, (ours, our_text): (f64, String), theirs: Option<(f64, String)>, least: f64) {
        let must = format!("{least} x");
        match theirs {
            Some((theirs, their_text)) => {
                let ratio = ours / theirs;
                self.add(
                    what,
                    format!("{our_text} = {ratio:.2} x"),
                    their_text,
                    &must,
                    ratio >= least,
                );
            }
            None => self.add(what, our_text, "could not be run".to_owned(), &must, false),
        }
    }

    /// A part that could not be measured.
    pub fn broken(&mut self, part: &str, why: &str) {
        self.add(part, why.to_owned(), String::new(), "be measured", false);
    }

    /// Whether every line is met.
    pub fn all_met(&self) -> bool {
        self.0.iter().all(|row| row.met)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "met" } else { "NOT MET" };
        let Self {
            what,
            ours,
            theirs,
            must,
            ..
        } = self;
        write!(f, "| {what} | {ours} | {theirs} | {must} | {verdict} |")
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| on | ours | theirs | must reach | |\n|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
