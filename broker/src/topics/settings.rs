//! What can be set per topic: retention. Other settings of Apache Kafka are accepted only at their fixed value.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Retention;

/// Settings a topic has of its own; `None` follows the broker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// `retention.ms`: -1 for no limit.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`: -1 for no limit.
    pub retention_bytes: Option<i64>,
}

/// A setting that was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error("unknown topic config name: {0}")]
    Unknown(String),
    /// A value that this broker cannot honour.
    #[error("{name} = {value} is not supported by this broker, only {supported}")]
    Value {
        /// The setting.
        name: String,
        /// The value asked for.
        value: String,
        /// What can be honoured.
        supported: &'static str,
    },
}

/// One line of a description of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// Kafka's spelling of the value.
    pub value: String,
    /// Whether it was set for this topic.
    pub own: bool,
    /// Whether it cannot be changed.
    pub fixed: bool,
}

/// Settings that have one value here; asking for that value is no error.
const FIXED: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("min.insync.replicas", "1"),
    ("message.timestamp.type", "CreateTime"),
];

impl TopicSettings {
    /// Sets (`Some`) or resets (`None`) a setting by Kafka's name.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), SettingError> {
        match name {
            "retention.ms" => self.retention_ms = number(name, value)?,
            "retention.bytes" => self.retention_bytes = number(name, value)?,
            _ => {
                let fixed = FIXED.iter().find(|(fixed, _)| *fixed == name);
                let (_, supported) = fixed.ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
                if value.is_some_and(|value| value != *supported) {
                    return Err(refused(name, value, supported));
                }
            }
        }
        Ok(())
    }

    /// The retention that holds for a topic with these settings.
    pub fn retention(&self, default: &Retention) -> Retention {
        Retention {
            bytes: self
                .retention_bytes
                .map_or(default.bytes, |bytes| u64::try_from(bytes).ok()),
            age: self
                .retention_ms
                .map_or(default.age, |ms| u64::try_from(ms).ok().map(Duration::from_millis)),
        }
    }

    /// Every setting as it holds now.
    pub fn describe(&self, default: &Retention, max_batch: usize, segment_bytes: u64) -> Vec<Setting> {
        let holds = self.retention(default);
        let ms = holds.age.map_or("-1".to_owned(), |age| age.as_millis().to_string());
        let bytes = holds.bytes.map_or("-1".to_owned(), |bytes| bytes.to_string());
        let setting = |name, value, own, fixed| Setting {
            name,
            value,
            own,
            fixed,
        };
        let mut all = vec![
            setting("retention.ms", ms, self.retention_ms.is_some(), false),
            setting("retention.bytes", bytes, self.retention_bytes.is_some(), false),
            setting("max.message.bytes", max_batch.to_string(), false, true),
            setting("segment.bytes", segment_bytes.to_string(), false, true),
        ];
        all.extend(
            FIXED
                .iter()
                .map(|&(name, value)| setting(name, value.to_owned(), false, true)),
        );
        all
    }
}

fn number(name: &str, value: Option<&str>) -> Result<Option<i64>, SettingError> {
    let parse = |text: &str| text.trim().parse().ok().filter(|&n: &i64| n >= -1);
    value
        .map(|text| parse(text).ok_or_else(|| refused(name, value, "-1 or a positive integer")))
        .transpose()
}

fn refused(name: &str, value: Option<&str>, supported: &'static str) -> SettingError {
    SettingError::Value {
        name: name.to_owned(),
        value: value.unwrap_or_default().to_owned(),
        supported,
    }
}
