//! The experiment file as it is written: every key that there is, of the right type or noted as a problem; nothing is decided yet.

mod keys;
mod loads;
mod tables;

pub use loads::*;
pub use tables::*;

use toml::de::DeTable;

use super::field::cut;
use super::problem::{Problem, Severity};
use super::source::Text;
use super::table::Table;

/// What an experiment file may hold.
#[derive(Clone, Debug)]
pub struct RawExperiment {
    /// The file's name.
    pub file: String,
    /// `[experiment]`.
    pub head: RawHead,
    /// `[kafka]`.
    pub kafka: RawKafka,
    /// Every `[[platform]]`.
    pub platforms: Vec<RawPlatform>,
    /// Every `[[workload]]`.
    pub workloads: Vec<RawWorkload>,
    /// Every `[[load]]`.
    pub loads: Vec<RawLoad>,
    /// Every `[[skip]]`.
    pub skips: Vec<RawSkip>,
    /// `[resources]`.
    pub resources: RawResources,
    /// `[sampling]`.
    pub sampling: RawSampling,
    /// `[deadlines]`.
    pub deadlines: RawDeadlines,
    /// `[host]`.
    pub host: RawHost,
    /// `[band]`.
    pub band: RawBand,
    /// `[generator]`.
    pub generator: RawGenerator,
}

impl RawExperiment {
    /// Every table of the file with its keys, for the reference and its test.
    pub const TABLES: &[(&str, &[&str])] = &[
        ("[experiment]", RawHead::KEYS),
        ("[kafka]", RawKafkaKeys::KEYS),
        ("[[platform]]", RawPlatform::KEYS),
        ("[[workload]]", RawWorkload::KEYS),
        ("[[load]]", RawLoadKeys::KEYS),
        ("[[load.mix]]", RawMix::KEYS),
        ("[[skip]]", RawSkip::KEYS),
        ("[resources]", RawResources::KEYS),
        ("[sampling]", RawSampling::KEYS),
        ("[deadlines]", RawDeadlines::KEYS),
        ("[host]", RawHost::KEYS),
        ("[band]", RawBand::KEYS),
        ("[generator]", RawGenerator::KEYS),
    ];

    /// Reads a text, with the problems of types and unknown keys that do not keep the rest from being checked.
    ///
    /// # Errors
    /// What is no TOML; guesses about the rest would only confuse then.
    pub(super) fn parse(file: &str, text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let lines = Text::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mut problems: Vec<_> = errors.iter().map(|error| syntax_problem(file, &lines, error)).collect();
            problems.sort_by_key(|problem| problem.line);
            // What follows on the same line is mostly a consequence.
            problems.dedup_by_key(|problem| problem.line);
            return Err(problems);
        }
        let mut problems = Vec::new();
        let root = Table::root(file, &lines, document.get_ref());
        let raw = Self::read(file, root, &mut problems);
        Ok((raw, problems))
    }

    fn read(file: &str, mut root: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let raw = Self {
            file: file.to_owned(),
            head: one(root.table("experiment"), RawHead::read, problems),
            kafka: RawKafka::read(root.table("kafka"), problems),
            platforms: many(root.tables("platform"), RawPlatform::read, problems),
            workloads: many(root.tables("workload"), RawWorkload::read, problems),
            loads: root
                .tables("load")
                .into_iter()
                .map(|table| RawLoad::read(table, problems))
                .collect(),
            skips: many(root.tables("skip"), RawSkip::read, problems),
            resources: one(root.table("resources"), RawResources::read, problems),
            sampling: one(root.table("sampling"), RawSampling::read, problems),
            deadlines: one(root.table("deadlines"), RawDeadlines::read, problems),
            host: one(root.table("host"), RawHost::read, problems),
            band: one(root.table("band"), RawBand::read, problems),
            generator: one(root.table("generator"), RawGenerator::read, problems),
        };
        root.end(problems);
        raw
    }
}

fn one<T>(mut table: Table<'_>, read: fn(&mut Table<'_>) -> T, problems: &mut Vec<Problem>) -> T {
    let raw = read(&mut table);
    table.end(problems);
    raw
}

fn many<T>(tables: Vec<Table<'_>>, read: fn(&mut Table<'_>) -> T, problems: &mut Vec<Problem>) -> Vec<T> {
    tables.into_iter().map(|table| one(table, read, problems)).collect()
}

fn syntax_problem(file: &str, text: &Text<'_>, error: &toml::de::Error) -> Problem {
    let line = text.line_of(error.span().map_or(0, |span| span.start));
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: Some(line),
        table: format!("`{}`", cut(text.line(line).trim())),
        key: None,
        value: None,
        what: format!("this is no TOML: {}", error.message().trim().replace('\n', ", ")),
        remedy: "correct the line, then check again".to_owned(),
    }
}
