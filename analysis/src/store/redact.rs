//! Redaction of secrets in experiment files, since results are meant to be published.
//!
//! The text is parsed, and the value of every key that names a secret is replaced in place, whatever the form of the string or the key.
//! All other lines are unchanged, so that two runs can be compared line by line.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The replacement for a secret.
const REDACTED: &str = "\"***\"";

/// Words that mark a key, together with its tables, as secret: all of librdkafka's, and likely others.
const WORDS: [&str; 14] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "jaas",
    "credential",
    "ssl.key.pem",
    "private.key",
    "private_key",
    "oauthbearer.config",
    // Header fields of requests.
    "authorization",
    "cookie",
    "api-key",
    "api_key",
];

/// The text with every secret replaced.
pub(super) fn redacted(text: &str) -> String {
    let Ok(table) = DeTable::parse(text) else {
        return "# left out: the file is not valid TOML, so secrets cannot be identified\n".to_owned();
    };
    let mut values = Vec::new();
    table_values(table.get_ref(), "", &mut values);
    values.sort_by_key(|value: &Value| value.span.start);
    let (mut kept, mut at, mut after_secret) = (String::with_capacity(text.len()), 0, false);
    for Value { span, is_secret } in values {
        kept += &without_comments(text.get(at..span.start).unwrap_or_default(), after_secret);
        kept += if is_secret {
            REDACTED
        } else {
            text.get(span.clone()).unwrap_or_default()
        };
        (at, after_secret) = (span.end, is_secret);
    }
    kept + &without_comments(text.get(at..).unwrap_or_default(), after_secret)
}

/// A scalar value.
struct Value {
    span: Range<usize>,
    is_secret: bool,
}

fn is_secret(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    WORDS.iter().any(|word| path.contains(word))
}

fn table_values(table: &DeTable<'_>, path: &str, values: &mut Vec<Value>) {
    for (key, value) in table {
        let path = format!("{path}.{}", key.get_ref());
        one_value(value.get_ref(), value.span(), &path, values);
    }
}

fn one_value(value: &DeValue<'_>, span: Range<usize>, path: &str, values: &mut Vec<Value>) {
    match value {
        DeValue::Table(table) => table_values(table, path, values),
        DeValue::Array(items) => items
            .iter()
            .for_each(|item| one_value(item.get_ref(), item.span(), path, values)),
        _ => values.push(Value {
            span,
            is_secret: is_secret(path),
        }),
    }
}

/// The text between two values, without comments that mention a secret, and without the comment on the line of a secret.
fn without_comments(gap: &str, after_secret: bool) -> String {
    let mut kept = String::with_capacity(gap.len());
    for (number, line) in gap.split_inclusive('\n').enumerate() {
        let comment = comment_of(line).filter(|&at| (after_secret && number == 0) || is_secret(&line[at..]));
        match comment {
            Some(at) => {
                kept += line[..at].trim_end_matches([' ', '\t']);
                kept += if line.ends_with('\n') { "\n" } else { "" };
            }
            None => kept += line,
        }
    }
    kept
}

/// The position of a comment in a line that holds keys but no values.
fn comment_of(line: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in line.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' => return Some(at),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_secrets_and_comments_about_them_are_removed() {
        let text = "name = \"x\" # a name\n# old password = \"hunter1\"\n[kafka.options]\n\"sasl.username\" = \"night\"\n\
                    \"sasl.password\" = \"hunter2\" # mine\nport = [1, # one\n 2]\n\"a#password\".b = 'hunter3'\n";
        assert_eq!(
            redacted(text),
            "name = \"x\" # a name\n\n[kafka.options]\n\"sasl.username\" = \"night\"\n\
             \"sasl.password\" = \"***\"\nport = [1, # one\n 2]\n\"a#password\".b = \"***\"\n"
        );
        assert!(!redacted("password = \"hunter2").contains("hunter2"));
        let header = "headers = { Accept = \"*/*\", Authorization = \"Bearer hunter2\" }\n";
        assert_eq!(
            redacted(header),
            "headers = { Accept = \"*/*\", Authorization = \"***\" }\n"
        );
    }

    /// A string in one of TOML's four forms, multi-line where the form allows.
    fn string(secret: &str, form: u8) -> String {
        match form {
            0 => format!("\"{secret}\""),
            1 => format!("'{secret}'"),
            2 => format!("\"\"\"\nfirst = 1\n# {secret}\n[{secret}]\n{secret}\\\n  \"{secret}\" \"\"\""),
            _ => format!("'''\nfirst = \"{secret}\n# {secret} ' '' \n{secret}'''"),
        }
    }

    /// A secret key in one of its possible forms, with its value, next to a key `plain`.
    fn setting(key: &str, value: &str, form: u8) -> String {
        let dotted = key.replace('.', " . ");
        let last = key.rsplit('.').next().unwrap_or_default();
        match form {
            0 => format!("[kafka.options]\n\"{key}\" = {value}\nplain = \"yes\"\n"),
            1 => format!("[kafka.options]\n'{key}'={value}\nplain = \"yes\"\n"),
            2 => format!("[kafka.options]\n{dotted} = {value}\nplain = \"yes\"\n"),
            3 => format!("kafka = {{ options = {{ \"{key}\" = {value}, plain = \"yes\" }} }}\n"),
            4 => format!("kafka.options.{key} = {value} # not hunter\nkafka.options.plain = \"yes\"\n"),
            5 => format!("[kafka.options]\nplain = \"yes\"\n[kafka.options.{key}]\nvalue = {value}\n"),
            6 => format!("[kafka.options]\n\"{key}\" = [ {value}, # {last}\n {value} ]\nplain = \"yes\"\n"),
            _ => format!(
                "[kafka.options]\nplain = \"yes\"\n[[kafka.options.list]]\n\"{key}\" = [[{value}], [{{ a = {value} }}]]\n"
            ),
        }
    }

    proptest! {
        #[test]
        fn secrets_are_redacted_in_every_form_of_string_and_key(
            secret in "hunter[0-9]{4}",
            key in prop::sample::select(vec![
                "sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.client.secret",
                "sasl.oauthbearer.config", "sasl.oauthbearer.assertion.private.key.pem", "sasl.jaas.config", "SASL.Password",
            ]),
            string_form in 0u8..4,
            key_form in 0u8..8,
        ) {
            let text = setting(key, &string(&secret, string_form), key_form);
            let parsed: toml::Table = text.parse().unwrap();
            let safe = redacted(&text);
            prop_assert!(!safe.contains("hunter"), "{}", safe);
            let again: toml::Table = safe.parse().unwrap();
            prop_assert_eq!(parsed["kafka"]["options"]["plain"].as_str(), Some("yes"));
            prop_assert_eq!(again["kafka"]["options"]["plain"].as_str(), Some("yes"));
            prop_assert_eq!(redacted(&safe), safe.clone());
        }

        #[test]
        fn a_file_without_secrets_is_unchanged(value in "[a-z# \\[\\]=']{0,20}", comment in "[a-z =\"']{0,12}") {
            prop_assume!(!is_secret(&comment));
            let text = format!("\"a # b\".c = \"{value}\" # {comment}\n[t] # {comment}\nx = '''\n#{}'''\n", value.replace('\'', ""));
            prop_assert_eq!(redacted(&text), text);
        }
    }
}
