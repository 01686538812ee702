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

    /// A line of requests a second that must be so many times those of another.
    pub fn ratio(&mut self, what: &str, ours: f64, theirs: Option<f64>, least: f64, note: &str) {
        let must = format!("{least} x");
        let Some(theirs) = theirs else {
            return self.add(
                what,
                format!("{ours:.0}/s{note}"),
                "could not be run".into(),
                &must,
                false,
            );
        };
        let ratio = ours / theirs;
        let ours = format!("{ours:.0}/s{note} = {ratio:.2} x");
        self.add(what, ours, format!("{theirs:.0}/s"), &must, ratio >= least);
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
