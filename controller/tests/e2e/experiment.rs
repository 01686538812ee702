//! A small experiment file.

/// An experiment; [`Experiment::toml`] is its file. The fields in TOML are there to be changed by tests.
#[derive(Clone)]
pub struct Experiment {
    pub name: String,
    /// Of the runner.
    pub host: String,
    pub iterations: u32,
    /// Many: on a busy machine the generator is sometimes too late, and the audit tells.
    pub max_attempts: u32,
    /// Tables [[platform]].
    pub platforms: String,
    pub port: u16,
    /// Another workload than `tcp` on that port: its table.
    pub workload: Option<String>,
    /// Tables [[load]].
    pub loads: String,
    /// Keys of [kafka].
    pub kafka: String,
    /// Keys of [deadlines].
    pub deadlines: String,
    /// The distance of two samples.
    pub interval: String,
    /// More tables.
    pub more: String,
}

pub const NATIVE: &str = "[[platform]]\nkind = \"native\"\n";

impl Experiment {
    /// The file's text.
    pub fn toml(&self) -> String {
        let Self {
            name,
            host,
            iterations,
            max_attempts,
            platforms,
            port,
            workload,
            loads,
            kafka,
            deadlines,
            interval,
            more,
        } = self;
        let tcp = || format!("[[workload]]\nkind = \"tcp\"\nport = {port}\n");
        let workload = workload.clone().unwrap_or_else(tcp);
        format!(
            r#"
[experiment]
name = "{name}"
host = "{host}"
controller = "of-{host}"
iterations = {iterations}
max_attempts = {max_attempts}
results = "results"

[kafka]
{kafka}

{platforms}

{workload}

{loads}

[sampling]
interval = "{interval}"

[deadlines]
{deadlines}

{more}
"#
        )
    }

    /// The loads, each with its name, requests a second and duration in seconds.
    pub fn with_loads(mut self, loads: &[(&str, u32, u32)]) -> Self {
        self.loads = loads
            .iter()
            .map(|&(name, rate, seconds)| load(name, rate, seconds))
            .collect();
        self
    }

    pub fn with_platforms(mut self, platforms: &str) -> Self {
        self.platforms = platforms.to_owned();
        self
    }

    pub fn with_more(mut self, tables: &str) -> Self {
        self.more = tables.to_owned();
        self
    }

    pub fn with_blocks(mut self, iterations: u32) -> Self {
        self.iterations = iterations;
        self
    }
}

/// A table [[load]].
pub fn load(name: &str, rate: u32, seconds: u32) -> String {
    format!(
        "[[load]]\nkind = \"rate\"\nname = \"{name}\"\nrate = {rate}\nduration = \"{seconds}s\"\nwarm_up = \"200ms\"\n\n"
    )
}
