//! `[[load]]` of kind `command`, and presets, which share most of its keys.

use std::time::Duration;

use protocol::raw_table;
use protocol::toml::{Document, Problem, Section, Table};

raw_table! {
    /// How a program is run: keys of `[[load]]` and of presets.
    RawProgram {
        /// Its name or path.
        program: string -> String,
        /// Its arguments.
        arguments: items -> Vec<String>,
        /// Environment variables.
        environment: strings -> Vec<(String, String)>,
        /// Arguments that make it print its version.
        version: items -> Vec<String>,
        /// The exit code of success.
        exit_code: integer -> i64,
        /// The file to which it writes every request.
        jtl: string -> String,
        /// Further programs that it starts.
        needs: list -> Vec<String>,
        /// How to install it.
        install: string -> String,
        /// The workloads that it is for.
        protocol: string -> String,
        /// After which it is killed.
        time_limit: duration -> Duration,
    }
}

raw_table! {
    /// Keys of `[[load]]` of kind `command` that presets do not have.
    RawPresetUse {
        /// The preset.
        preset: string -> String,
        /// The values of its parameters.
        parameters: words -> Vec<(String, String)>,
    }
}

raw_table! {
    /// `[[figure]]` and `[[load.figure]]`.
    RawFigure {
        /// Its name.
        name: string -> String,
        /// Its unit in results.
        unit: string -> String,
        /// Which values are better.
        better: string -> String,
        /// Where it is found.
        from: string -> String,
        /// JSON pointer.
        json: string -> String,
        /// Regular expression.
        regex: string -> String,
        /// Column of a CSV.
        column: string -> String,
        /// Which rows of the CSV.
        rows: strings -> Vec<(String, String)>,
        /// The separator of the CSV.
        delimiter: string -> String,
        /// Which of several values.
        take: string -> String,
        /// Its unit in the output.
        given_in: string -> String,
        /// The separator of groups of three digits.
        thousands: string -> String,
        /// The value if there is none.
        otherwise: number -> f64,
        /// Whether it may be absent.
        optional: boolean -> bool,
        /// Whether platforms are compared in it.
        compare: boolean -> bool,
        /// The request count that it is.
        counts: string -> String,
    }
}

raw_table! {
    /// `[[file]]` and `[[load.file]]`.
    RawFile {
        /// Its name in the working directory.
        name: string -> String,
        /// Its content.
        text: string -> String,
        /// The file that is copied.
        path: string -> String,
    }
}

raw_table! {
    /// `[[parameter]]` of a preset.
    RawParameter {
        /// Its name, a placeholder.
        name: string -> String,
        /// What it means.
        about: string -> String,
        /// Which values it takes.
        kind: string -> String,
        /// Its value if the experiment gives none.
        default: word -> String,
    }
}

raw_table! {
    /// Keys of a preset that a load does not have.
    RawPresetHead {
        /// What the program does.
        about: string -> String,
    }
}

/// A program with its figures and files.
#[derive(Clone, Debug)]
pub struct RawCommand {
    /// The program.
    pub program: RawProgram,
    /// Its figures.
    pub figures: Vec<RawFigure>,
    /// Its files.
    pub files: Vec<RawFile>,
}

impl RawCommand {
    pub(super) fn read(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let (figures, files) = (table.tables("figure"), table.tables("file"));
        Self {
            program: RawProgram::read(table),
            figures: Table::read_every(figures, RawFigure::read, problems),
            files: Table::read_every(files, RawFile::read, problems),
        }
    }
}

/// A preset: a load program that others may use.
#[derive(Clone, Debug)]
pub struct RawPreset {
    /// Its own keys.
    pub head: RawPresetHead,
    /// The program.
    pub command: RawCommand,
    /// What an experiment may set.
    pub parameters: Vec<RawParameter>,
}

impl RawPreset {
    /// Every table of a preset with its keys.
    pub const TABLES: &[(&str, &[&str])] = &[
        ("the top level", RawPresetHead::KEYS),
        ("the top level", RawProgram::KEYS),
        ("[[parameter]]", RawParameter::KEYS),
        ("[[figure]]", RawFigure::KEYS),
        ("[[file]]", RawFile::KEYS),
    ];

    /// Reads a text, with the problems of types and unknown keys; `source` is what problems call it.
    ///
    /// # Errors
    /// Every line that is not TOML.
    pub fn parse(source: &str, text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let document = Document::parse(source, text)?;
        let mut problems = Vec::new();
        let mut root = Table::root(source, [&document], Self::TABLES);
        let parameters = root.tables("parameter");
        let raw = Self {
            head: RawPresetHead::read(&mut root),
            command: RawCommand::read(&mut root, &mut problems),
            parameters: Table::read_every(parameters, RawParameter::read, &mut problems),
        };
        root.end(&mut problems);
        Ok((raw, problems))
    }

    /// The location of the preset as a whole.
    #[must_use]
    pub fn section(&self) -> &Section {
        &self.head.section
    }
}
