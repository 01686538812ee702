//! Lines, words and numbers, which the parsers have in common.

use protocol::sample::{Counter, Counters};

/// Parses a file into counters.
pub type Parser = fn(&[u8], &mut Counters) -> Result<(), ParseError>;

/// A file cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It ends before a field.
    #[error("{file} ends before field {field}")]
    Short {
        /// The kind of file.
        file: &'static str,
        /// The field that is missing.
        field: usize,
    },
    /// A field is not a number.
    #[error("field {field} of {file} is not a number")]
    NotANumber {
        /// The kind of file.
        file: &'static str,
        /// The field.
        field: usize,
    },
}

/// An unsigned number.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The complete lines. One without a line break may be truncated.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A key, the counter that its number is added to, and the factor that converts the number to the counter's unit.
pub(super) type Key = (&'static str, Counter, u64);

/// Parses lines like `key number` or `key: number kB`. Several keys may add up to one counter; other keys are skipped.
pub(super) fn keyed(text: &[u8], keys: &[Key], counters: &mut Counters) {
    for line in lines(text) {
        let mut words = words(line);
        let (Some(word), Some(number)) = (words.next(), words.next()) else {
            continue;
        };
        let word = word.strip_suffix(b":").unwrap_or(word);
        if let Some(&(_, counter, factor)) = keys.iter().find(|(key, ..)| key.as_bytes() == word)
            && let Some(number) = decimal(number)
        {
            counters.add(counter, number.saturating_mul(factor));
        }
    }
}

/// Parses a file with one number. `max`, or a number larger than any memory, means no limit and sets nothing.
pub(in crate::sampler) fn single(text: &[u8], counter: Counter, counters: &mut Counters) -> Result<(), ParseError> {
    const FILE: &str = "a file with one number";
    const NO_LIMIT: u64 = 1 << 62;
    let line = lines(text).next().ok_or(ParseError::Short { file: FILE, field: 1 })?;
    match decimal(line) {
        Some(number) if number < NO_LIMIT => counters.put(counter, number),
        Some(_) => {}
        None if line == b"max" => {}
        None => return Err(ParseError::NotANumber { file: FILE, field: 1 }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_add_up_and_a_truncated_line_does_not_count() {
        let keys: [Key; 2] = [("Rss", Counter::RssBytes, 1024), ("Swap", Counter::RssBytes, 1)];
        let mut counters = Counters::default();
        keyed(
            b"Rss:      10 kB\nRssX: 7 kB\nSwap 5\n\nRss: x kB\nRss: 99",
            &keys,
            &mut counters,
        );
        assert_eq!(counters.get(Counter::RssBytes), Some(10 * 1024 + 5));
    }

    #[test]
    fn a_single_number_may_mean_no_limit() {
        let read = |text: &[u8]| {
            let mut counters = Counters::default();
            single(text, Counter::LimitBytes, &mut counters).map(|()| counters.get(Counter::LimitBytes))
        };
        assert_eq!(read(b"4096\n"), Ok(Some(4096)));
        assert_eq!(read(b"max\n"), Ok(None));
        assert_eq!(read(b"9223372036854771712\n"), Ok(None));
        assert!(read(b"").is_err() && read(b"40").is_err() && read(b"-1\n").is_err());
    }
}
