//! Tasks of the rule engine: CREATE and GET.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceId, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the rule engine.
    RuleTask => RuleAnswer of Service::RuleEngine;
    /// Creates a rule for a device.
    "CREATE" Create(CreateRule) => RuleCreated, |it| Route::Key(it.device.as_str());
    /// Fetches the rules of a device.
    "GET" Get(GetRules) => Rules, |it| Route::Key(it.device.as_str());
}

/// The comparison operator of a rule.
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
    #[expect(clippy::float_cmp, reason = "rules compare with the exact value that a command sets")]
    pub fn holds(self, reading: f64, operand: f64) -> bool {
        match self {
            Self::Equal => reading == operand,
            Self::NotEqual => reading != operand,
            Self::Greater => reading > operand,
            Self::Less => reading < operand,
        }
    }
}

/// A condition on the readings of a device, and the command that is sent when a reading violates it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule id.
    pub id: Uuid,
    /// The comparison operator.
    pub operator: Operator,
    /// The value to compare with.
    pub operand: f64,
    /// The state that is sent to the device when the condition is violated.
    pub command: f64,
}

impl Rule {
    /// Whether a reading violates the rule.
    #[must_use]
    pub fn violated_by(&self, value: f64) -> bool {
        !self.operator.holds(value, self.operand)
    }
}

/// Creates a rule for a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRule {
    /// The device.
    pub device: DeviceId,
    /// The rule; creating it again has no effect.
    pub rule: Rule,
}

/// The rule is active.
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
    /// In order of creation.
    pub rules: Vec<Rule>,
}
