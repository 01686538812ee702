//! Tasks of the rule engine: CREATE and GET.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the rule engine.
    RuleTask => RuleAnswer of Service::RuleEngine;
    /// Makes a rule for a device.
    "CREATE" Create(CreateRule) => RuleCreated, |it| Route::Key(it.device.as_str());
    /// Fetches the rules of a device.
    "GET" Get(GetRules) => Rules, |it| Route::Key(it.device.as_str());
}

/// What a reading is compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// Equal.
    #[serde(rename = "==")]
    Equal,
    /// Not equal.
    #[serde(rename = "!=")]
    NotEqual,
    /// Greater than.
    #[serde(rename = ">")]
    Greater,
    /// Less than.
    #[serde(rename = "<")]
    Less,
}

impl Operator {
    /// Whether `reading <operator> operand` is true.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "a rule compares with the very value that a command set")]
    pub fn holds(self, reading: f64, operand: f64) -> bool {
        match self {
            Self::Equal => reading == operand,
            Self::NotEqual => reading != operand,
            Self::Greater => reading > operand,
            Self::Less => reading < operand,
        }
    }
}

/// A condition that the readings of a device have to comply with, and the command that is sent if one does not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its identity.
    pub id: Uuid,
    /// How to compare.
    pub operator: Operator,
    /// What to compare with.
    pub operand: f64,
    /// The state that the device is sent when the condition does not hold.
    pub command: f64,
}

impl Rule {
    /// Whether a reading does not comply.
    #[must_use]
    pub fn violated_by(&self, value: f64) -> bool {
        !self.operator.holds(value, self.operand)
    }
}

/// Makes a rule for a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRule {
    /// The device.
    pub device: DeviceId,
    /// The rule; making the same one again changes nothing.
    pub rule: Rule,
}

/// The rule is checked from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCreated {}

/// Fetches the rules of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetRules {
    /// The device.
    pub device: DeviceId,
}

/// The rules of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// In the order they came.
    pub rules: Vec<Rule>,
}
