//! Texts with placeholders such as `{host}`.
//!
//! A placeholder is a name of `a-z`, `0-9` and `_` in braces. Any other brace stands for itself, so that JSON and programs can be written as they are;
//! `{{host}}` stands for the text `{host}`. Values are inserted once and not read again.

/// The placeholders of a text, in its order.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// The text with every placeholder replaced; one without a value is left as it is.
pub fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Placeholder(name) => match value(name) {
                Some(value) => filled.push_str(&value),
                None => filled.push_str(&format!("{{{name}}}")),
            },
        }
    }
    filled
}

enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = next_piece(rest)?;
        rest = after;
        Some(piece)
    })
}

fn next_piece(text: &str) -> Option<(Piece<'_>, &str)> {
    if text.is_empty() {
        return None;
    }
    if let Some(name) = text.strip_prefix("{{").and_then(name_before_brace)
        && let Some(after) = text[2 + name.len()..].strip_prefix("}}")
    {
        return Some((Piece::Text(&text[1..name.len() + 3]), after));
    }
    if let Some(name) = text.strip_prefix('{').and_then(name_before_brace) {
        return Some((Piece::Placeholder(name), &text[name.len() + 2..]));
    }
    // The first character may be a brace that stands for itself.
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = text[first..].find('{').map_or(text.len(), |at| at + first);
    Some((Piece::Text(&text[..end]), &text[end..]))
}

/// The name at the beginning of a text, if a closing brace follows it.
fn name_before_brace(text: &str) -> Option<&str> {
    let name = &text[..text.find('}')?];
    is_name(name).then_some(name)
}

/// Whether this is the name of a placeholder.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> String {
        fill(text, |name| (name == "host").then(|| "{port}".to_owned()))
    }

    #[test]
    fn names_in_braces_are_replaced_once() {
        assert_eq!(filled("http://{host}:80/{host}"), "http://{port}:80/{port}");
        assert_eq!(filled("{other} {{host}}"), "{other} {host}");
        assert_eq!(
            placeholders("a{host}b{{port}}{c_1}").collect::<Vec<_>>(),
            ["host", "c_1"]
        );
    }

    #[test]
    fn other_braces_stand_for_themselves() {
        for text in [
            "{\"a\":{\"b\":1}}",
            "{ vus: 3 }",
            "${HOME}",
            "{",
            "}{",
            "{{",
            "{{{}}}",
            "é{é}",
            "{Host}",
            "{1a}",
        ] {
            assert_eq!(filled(text), text);
        }
        assert_eq!(filled("{{{host}}}"), "{{host}}");
    }

    proptest! {
        #[test]
        fn a_text_without_names_is_unchanged(text in "[{}A-Zé]{0,40}") {
            prop_assert_eq!(filled(&text), text);
        }

        #[test]
        fn arbitrary_texts_do_not_panic(text in any::<String>()) {
            filled(&text);
        }
    }
}
