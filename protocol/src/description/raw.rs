//! The contents of a description, unchecked.

use std::time::Duration;

use crate::raw_table;
use crate::spec::Parameter;
use crate::toml::{Problem, Section, Table};

raw_table! {
    /// The keys of a description but its tables.
    RawKeys {
        /// What it speaks: the loads that can be sent to it.
        protocol: string -> String,
        /// The declared parameters with their defaults.
        parameters: parameters -> Vec<(String, Parameter)>,
    }
}

raw_table! {
    /// `[[file]]`.
    RawFile {
        /// Its path in the service's directory.
        path: string -> String,
        /// Its text, with placeholders.
        contents: string -> String,
        /// Or its length, generated.
        bytes: word -> String,
        /// What generated content consists of.
        fill: string -> String,
        /// Or a file beside the description that is copied.
        from: string -> String,
        /// Whether it may be executed.
        executable: boolean -> bool,
    }
}

raw_table! {
    /// `[native]`.
    RawNative {
        /// The program.
        program: string -> String,
        /// Its arguments.
        args: list -> Vec<String>,
        /// Its environment.
        env: strings -> Vec<(String, String)>,
        /// The user that it runs as.
        user: string -> String,
        /// Its working directory.
        directory: string -> String,
        /// What else it opens, for roots that are built of it.
        include: list -> Vec<String>,
    }
}

raw_table! {
    /// `[guest]`.
    RawGuest {
        /// A folder with a root file system.
        root: string -> String,
        /// The program in it.
        program: string -> String,
        /// Its arguments.
        args: list -> Vec<String>,
    }
}

raw_table! {
    /// `[container]`.
    RawContainer {
        /// The image by its name.
        image: string -> String,
        /// When it is pulled.
        pull: string -> String,
        /// Or a file as `docker save` writes it.
        archive: string -> String,
        /// Or a folder with a Dockerfile or a root file system.
        folder: string -> String,
        /// Instead of the image's entry point.
        entrypoint: list -> Vec<String>,
        /// Instead of the image's command.
        args: list -> Vec<String>,
        /// Its environment.
        env: strings -> Vec<(String, String)>,
        /// The user that it runs as.
        user: string -> String,
        /// The port in the container.
        port: integer -> i64,
        /// Its working directory.
        directory: string -> String,
        /// Where else its files are.
        volumes: strings -> Vec<(String, String)>,
    }
}

raw_table! {
    /// `[task]`.
    RawTask {
        /// The exit code of success.
        exit_code: integer -> i64,
        /// Its standard output.
        output: string -> String,
    }
}

raw_table! {
    /// `[ready]`.
    RawReady {
        /// What is tried.
        kind: string -> String,
        /// http: the path.
        path: string -> String,
        /// http: the expected status.
        status: integer -> i64,
        /// http: the expected length of the body.
        body_bytes: bytes -> i64,
        /// http: what the body must match.
        body: string -> String,
        /// udp: the packet.
        packet: string -> String,
        /// udp: the reply.
        answer: string -> String,
        /// dns: the name that is asked for.
        name: string -> String,
        /// output: what a line must match.
        line: string -> String,
        /// command: the program.
        program: string -> String,
        /// command: its arguments.
        args: list -> Vec<String>,
        /// Time between two attempts.
        interval: duration -> Duration,
        /// How long it may take.
        timeout: duration -> Duration,
    }
}

raw_table! {
    /// `[[seed]]`.
    RawSeed {
        /// What is done.
        kind: string -> String,
        /// command: the program.
        program: string -> String,
        /// command: its arguments.
        args: list -> Vec<String>,
        /// http: the method.
        method: string -> String,
        /// http: path and query.
        path: string -> String,
        /// http: the body.
        body: string -> String,
        /// http: the expected status.
        status: integer -> i64,
        /// http: how often it is sent.
        times: word -> String,
        /// redis: how many keys.
        keys: word -> String,
        /// redis: the length of each value.
        value_bytes: word -> String,
        /// redis: what keys begin with.
        prefix: string -> String,
    }
}

/// A description as written: every key, of the right type or reported as a problem; nothing is decided yet.
#[derive(Clone, Debug)]
pub struct RawDescription {
    /// Its own keys.
    pub keys: RawKeys,
    /// Every `[[file]]`.
    pub files: Vec<RawFile>,
    /// `[native]`, if it is there.
    pub native: Option<RawNative>,
    /// `[container]`, if it is there.
    pub container: Option<RawContainer>,
    /// `[guest]`, if it is there.
    pub guest: Option<RawGuest>,
    /// `[task]`, if it is there.
    pub task: Option<RawTask>,
    /// `[ready]`.
    pub ready: RawReady,
    /// Every `[[seed]]`.
    pub seed: Vec<RawSeed>,
}

impl RawDescription {
    /// The tables that are there.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        let files = self.files.iter().map(|file| &file.section);
        let native = self.native.iter().map(|native| &native.section);
        let container = self.container.iter().map(|container| &container.section);
        let guest = self.guest.iter().map(|guest| &guest.section);
        let seed = self.seed.iter().map(|seed| &seed.section);
        let task = self.task.iter().map(|task| &task.section);
        let ready = Some(&self.ready.section).filter(|section| section.line.is_some());
        files
            .chain(native)
            .chain(container)
            .chain(guest)
            .chain(task)
            .chain(seed)
            .chain(ready)
    }

    /// Every table of a description with its keys.
    pub const TABLES: &[(&str, &[&str])] = &[
        ("[[file]]", RawFile::KEYS),
        ("[native]", RawNative::KEYS),
        ("[container]", RawContainer::KEYS),
        ("[guest]", RawGuest::KEYS),
        ("[task]", RawTask::KEYS),
        ("[ready]", RawReady::KEYS),
        ("[[seed]]", RawSeed::KEYS),
    ];

    /// Reads the keys of a description from a table, which may have others.
    #[must_use]
    pub fn read(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let files = table.tables("file");
        let native = table.table_if_given("native");
        let container = table.table_if_given("container");
        let guest = table.table_if_given("guest");
        let task = table.table_if_given("task");
        let (ready, seed) = (table.table("ready"), table.tables("seed"));
        Self {
            keys: RawKeys::read(table),
            files: Table::read_every(files, RawFile::read, problems),
            native: native.map(|table| table.read_whole(RawNative::read, problems)),
            container: container.map(|table| table.read_whole(RawContainer::read, problems)),
            guest: guest.map(|table| table.read_whole(RawGuest::read, problems)),
            task: task.map(|table| table.read_whole(RawTask::read, problems)),
            ready: ready.read_whole(RawReady::read, problems),
            seed: Table::read_every(seed, RawSeed::read, problems),
        }
    }
}
