//! Small experiment files.

/// An experiment; [`Experiment::toml`] renders the file. Tests change the public TOML fields.
#[derive(Clone)]
pub struct Experiment {
    pub name: String,
    /// The runner's name.
    pub host: String,
    pub iterations: u32,
    /// Many, because on a busy machine the load generator can lag and fail the audit.
    pub max_attempts: u32,
    /// `[[platform]]` tables.
    pub platforms: String,
    pub port: u16,
    /// A `[[workload]]` table instead of `tcp` on the default port.
    pub workload: Option<String>,
    /// `[[load]]` tables.
    pub loads: String,
    /// Keys of `[kafka]`.
    pub kafka: String,
    /// Keys of `[deadlines]`.
    pub deadlines: String,
    /// The sampling interval.
    pub interval: String,
    /// Further tables.
    pub more: String,
}

pub const NATIVE: &str = "[[platform]]\nkind = \"native\"\n";

impl Experiment {
    /// Renders the file.
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
idle = "200ms"

[deadlines]
{deadlines}

{more}
"#
        )
    }

    /// Replaces the loads, given as (name, requests per second, duration in seconds).
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

/// A `[[load]]` table.
pub fn load(name: &str, rate: u32, seconds: u32) -> String {
    format!(
        "[[load]]\nkind = \"rate\"\nname = \"{name}\"\nrate = {rate}\nduration = \"{seconds}s\"\nwarm_up = \"200ms\"\n\n"
    )
}
