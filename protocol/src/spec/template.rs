//! Texts with placeholders, and the parameters that fill them in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{Name, truncated, validated_string};
use crate::load::template;
use crate::toml::did_you_mean;

/// A text with placeholders, see [`template`], each of which must have a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(String);

/// Not a valid [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} contains a NUL character, which no argument and no file name may")]
pub struct InvalidTemplate {
    /// The invalid text.
    pub given: String,
}

/// A placeholder without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no parameter {{{name}}}: {remedy}")]
pub struct UnknownPlaceholder {
    /// The placeholder's name.
    pub name: String,
    /// What to write instead.
    pub remedy: String,
}

validated_string!(Template, InvalidTemplate);

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if text.contains('\0') {
            return Err(InvalidTemplate { given: truncated(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

impl Template {
    /// The text with every placeholder replaced.
    ///
    /// # Errors
    /// [`UnknownPlaceholder`] for the first that `values` does not have.
    pub fn fill(&self, values: &Values) -> Result<String, UnknownPlaceholder> {
        self.check(values)?;
        Ok(template::fill(&self.0, |name| values.get(name).ok().map(str::to_owned)))
    }

    /// Whether every placeholder has a value.
    ///
    /// # Errors
    /// [`UnknownPlaceholder`] for the first that it does not have.
    pub fn check(&self, values: &Values) -> Result<(), UnknownPlaceholder> {
        template::placeholders(&self.0).try_for_each(|name| values.get(name).map(drop))
    }
}

/// The values of placeholders, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    texts: BTreeMap<String, String>,
    services: BTreeMap<String, Name>,
}

impl Values {
    /// Sets a value.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.texts.insert(name.to_owned(), value.to_string());
    }

    /// Sets the value of a parameter.
    pub fn set_parameter(&mut self, name: &ParameterName, value: &Parameter) {
        self.set(name.as_str(), value);
        if let Parameter::Service(service) = value {
            self.services.insert(name.as_str().to_owned(), service.clone());
        }
    }

    /// The services whose addresses are values.
    pub fn services(&self) -> impl Iterator<Item = &Name> {
        self.services.values()
    }

    /// The same with the addresses of services.
    ///
    /// # Errors
    /// A service that `address` does not know.
    pub fn with_addresses(&self, address: impl Fn(&Name) -> Option<SocketAddr>) -> Result<Self, Name> {
        let mut values = self.clone();
        for (parameter, service) in &self.services {
            values.set(parameter, address(service).ok_or_else(|| service.clone())?);
        }
        Ok(values)
    }

    /// A value.
    ///
    /// # Errors
    /// [`UnknownPlaceholder`].
    pub fn get(&self, name: &str) -> Result<&str, UnknownPlaceholder> {
        self.texts.get(name).map(String::as_str).ok_or_else(|| {
            let known = self.texts.keys().map(String::as_str);
            let remedy = match did_you_mean(name, known.clone()) {
                Some(word) => format!("did you mean {{{word}}}?"),
                None => format!(
                    "declare it under `parameters`, or write {{{{{name}}}}} for the text itself (known here: {})",
                    known.collect::<Vec<_>>().join(", ")
                ),
            };
            UnknownPlaceholder {
                name: name.to_owned(),
                remedy,
            }
        })
    }
}

impl fmt::Display for Values {
    /// A line each, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "{name} = {value}"))
    }
}

/// The name of a parameter: 1 to 40 of `a-z`, `0-9` and `_`, beginning with a letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ParameterName(String);

/// Not a valid [`ParameterName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a valid parameter name: use 1 to 40 of a-z, 0-9 and _, beginning with a letter")]
pub struct InvalidParameterName {
    /// The invalid text.
    pub given: String,
}

validated_string!(ParameterName, InvalidParameterName);

impl FromStr for ParameterName {
    type Err = InvalidParameterName;

    fn from_str(text: &str) -> Result<Self, InvalidParameterName> {
        let is_valid = text.len() <= 40 && template::is_name(text);
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidParameterName { given: truncated(text) })
    }
}

/// The value of a parameter. That of a declaration is the default, and its kind is what an experiment may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameter {
    /// An integer.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A word of plain characters ([`is_plain`]).
    Text(String),
    /// `{name}`: the address and port of another service of the application, which is started before.
    Service(Name),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(flag) => flag.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Service(name) => write!(f, "{{{name}}}"),
        }
    }
}

impl From<&str> for Parameter {
    /// A text, or a service in braces.
    fn from(text: &str) -> Self {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match inner.map(str::parse) {
            Some(Ok(name)) => Self::Service(name),
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl Parameter {
    /// What it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "true or false",
            Self::Text(_) | Self::Service(_) => "a text",
        }
    }

    /// Whether another value is of the same kind.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

/// Whether a text can be put into an argument or a configuration file without changing the meaning of what is around it: 1 to 200 letters, digits and
/// `._:/@%+,=-`, and no `..` between slashes, so that no value leads out of a directory.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._:/@%+,=-".contains(c))
        && text.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        values.set("port", 8080);
        values.set("tricky", "{port}");
        values
    }

    fn fill(text: &str) -> Result<String, UnknownPlaceholder> {
        text.parse::<Template>().unwrap().fill(&values())
    }

    #[test]
    fn placeholders_are_replaced_and_other_braces_kept() {
        for (text, filled) in [
            ("listen {port};", "listen 8080;"),
            ("{port}{port}", "80808080"),
            ("http { server { listen {port}; } }", "http { server { listen 8080; } }"),
            ("{{port}} {{{port}}}", "{port} {{port}}"),
            ("a{2,3} {} { } {PORT} {p", "a{2,3} {} { } {PORT} {p"),
            ("{tricky}", "{port}"),
            ("{{port}", "{8080"),
            ("é{port}", "é8080"),
        ] {
            assert_eq!(fill(text).unwrap(), filled, "{text}");
        }
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_the_likely_one() {
        assert_eq!(
            fill("{prot}").unwrap_err().to_string(),
            "there is no parameter {prot}: did you mean {port}?"
        );
        assert!(fill("{workers}").unwrap_err().to_string().contains("{{workers}}"));
    }

    #[test]
    fn a_service_in_braces_is_its_address() {
        assert_eq!(
            Parameter::from("{cache-1}"),
            Parameter::Service("cache-1".parse().unwrap())
        );
        for text in ["cache", "{}", "{A b}", "x{cache}", "{{cache}}"] {
            assert_eq!(Parameter::from(text), Parameter::Text(text.to_owned()));
        }
        let mut values = values();
        values.set_parameter(&"upstream".parse().unwrap(), &Parameter::from("{cache}"));
        assert_eq!(values.get("upstream").unwrap(), "{cache}");
        let address = |name: &Name| (name.as_str() == "cache").then(|| "10.0.0.2:6379".parse().unwrap());
        let known = values.with_addresses(address).unwrap();
        assert_eq!(known.get("upstream").unwrap(), "10.0.0.2:6379");
        assert_eq!(values.with_addresses(|_| None).unwrap_err().as_str(), "cache");
    }

    #[test]
    fn plain_values_cannot_inject() {
        for good in ["1", "allkeys-lru", "/data/www", "10.0.0.1:80", "64mb"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "", "a b", "a;b", "a\nb", "{x}", "$(x)", "\"", "'", "a\0", "../x", "/a/../b", "`", "#", "é",
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
