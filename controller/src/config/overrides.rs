//! What the command line says instead of the file.

use super::raw::RawExperiment;

/// Values of the command line that stand in front of the file's; checked like them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--name`: the experiment's name.
    pub name: Option<String>,
    /// `--results`: the folder of all results.
    pub results: Option<String>,
    /// `--brokers`: `embedded` or `host:port,...`; the file's keys for the other kind of broker are then passed over.
    pub brokers: Option<String>,
    /// `--host`: the host whose runner deploys.
    pub host: Option<String>,
    /// `--iterations`: the number of blocks.
    pub iterations: Option<i64>,
    /// `--seed`: the seed.
    pub seed: Option<i64>,
}

impl Overrides {
    pub(super) fn apply(&self, raw: &mut RawExperiment) {
        let texts = [
            (&self.name, "--name", &mut raw.head.name),
            (&self.results, "--results", &mut raw.head.results),
            (&self.host, "--host", &mut raw.head.host),
            (&self.brokers, "--brokers", &mut raw.kafka.keys.brokers),
        ];
        for (given, option, field) in texts {
            if let Some(text) = given {
                field.replace(option, format!("{text:?}"), text.clone());
            }
        }
        let wholes = [
            (self.iterations, "--iterations", &mut raw.head.iterations),
            (self.seed, "--seed", &mut raw.head.seed),
        ];
        for (given, option, field) in wholes {
            if let Some(number) = given {
                field.replace(option, number.to_string(), number);
            }
        }
        if self.brokers.as_deref().is_some_and(|brokers| brokers != "embedded") {
            for field in [
                &mut raw.kafka.keys.listen,
                &mut raw.kafka.keys.advertise,
                &mut raw.kafka.keys.data,
            ] {
                field.clear();
            }
        }
    }
}
