//! Topic settings: retention. Other settings of Apache Kafka are accepted only with their fixed value.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Retention;

/// The settings of a topic; `None` means the broker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// `retention.ms`: -1 for no limit.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`: -1 for no limit.
    pub retention_bytes: Option<i64>,
}

/// Why a setting was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error("unknown topic config name: {0}")]
    Unknown(String),
    /// The value is not supported.
    #[error("unsupported value {name} = {value}: use {supported}")]
    Value {
        /// The setting.
        name: String,
        /// The requested value.
        value: String,
        /// The supported values.
        supported: &'static str,
    },
}

/// A described setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in Kafka's format.
    pub value: String,
    /// Whether it is set for this topic.
    pub is_set: bool,
    /// Whether it cannot be changed.
    pub read_only: bool,
}

/// Settings with a single supported value.
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
                    return Err(unsupported(name, value, supported));
                }
            }
        }
        Ok(())
    }

    /// The effective retention.
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

    /// Every setting with its effective value.
    pub fn describe(&self, default: &Retention, max_batch: usize, segment_bytes: u64) -> Vec<Setting> {
        let retention = self.retention(default);
        let ms = retention.age.map_or("-1".to_owned(), |age| age.as_millis().to_string());
        let bytes = retention.bytes.map_or("-1".to_owned(), |bytes| bytes.to_string());
        let setting = |name, value, is_set, read_only| Setting {
            name,
            value,
            is_set,
            read_only,
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
        .map(|text| parse(text).ok_or_else(|| unsupported(name, value, "-1 or a non-negative integer")))
        .transpose()
}

fn unsupported(name: &str, value: Option<&str>, supported: &'static str) -> SettingError {
    SettingError::Value {
        name: name.to_owned(),
        value: value.unwrap_or_default().to_owned(),
        supported,
    }
}
