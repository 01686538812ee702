//! The texts of `/proc`, as pure functions.
//!
//! The second field of `/proc/PID/stat` is the program's name in parentheses, and the name may hold anything: spaces, parentheses, line
//! breaks. So the fields are counted from the *last* closing parenthesis. A text that ends early is an error, never a number.

use protocol::summary::HostUse;

/// What is read out of `/proc/PID/stat`; the numbers of the fields are those of proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it has ended and only waits to be collected (field 3 is `Z` or `X`).
    pub is_dead: bool,
    /// Field 14, clock ticks.
    pub user_ticks: u64,
    /// Field 15, clock ticks.
    pub system_ticks: u64,
    /// Field 22, clock ticks after boot.
    pub start_ticks: u64,
    /// Field 24, pages.
    pub rss_pages: u64,
}

/// Why a text of `/proc` is not what it should be.
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

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// [`ParseError`] if it is cut short or not of that kind.
pub fn stat(text: &[u8]) -> Result<Stat, ParseError> {
    const FILE: &str = "stat";
    let short = |field| ParseError::Short { file: FILE, field };
    let close = text.iter().rposition(|&byte| byte == b')').ok_or(short(2))?;
    // A text that was cut in the middle of a field would give a wrong number: the last field only counts if something follows.
    let fields: Vec<&[u8]> = text[close + 1..]
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
        .collect();
    let is_whole = text.last().is_some_and(u8::is_ascii_whitespace);
    let complete = fields.len() - usize::from(!is_whole && !fields.is_empty());
    let field = |number: usize| fields[..complete].get(number - 3).copied().ok_or(short(number));
    let count = |number: usize| match decimal(field(number)?) {
        Some(value) => Ok(value),
        None => Err(ParseError::NotANumber {
            file: FILE,
            field: number,
        }),
    };
    Ok(Stat {
        is_dead: matches!(field(3)?, b"Z" | b"X" | b"x"),
        user_ticks: count(14)?,
        system_ticks: count(15)?,
        start_ticks: count(22)?,
        rss_pages: count(24)?,
    })
}

/// Reads the first number of `/proc/PID/task/TID/schedstat`: time on a CPU, ns.
///
/// # Errors
/// [`ParseError`] if it is cut short or not of that kind.
pub fn schedstat(text: &[u8]) -> Result<u64, ParseError> {
    const FILE: &str = "schedstat";
    let end = text.iter().position(|&byte| byte == b' ');
    let end = end.ok_or(ParseError::Short { file: FILE, field: 1 })?;
    decimal(&text[..end]).ok_or(ParseError::NotANumber { file: FILE, field: 1 })
}

/// Reads the first line of `/proc/stat`. Guest time is part of user time there, as in [`Stat`].
///
/// # Errors
/// [`ParseError`] if it is cut short or not of that kind.
pub fn host(text: &[u8]) -> Result<HostUse, ParseError> {
    const FILE: &str = "/proc/stat";
    let end = text.iter().position(|&byte| byte == b'\n');
    let line = &text[..end.ok_or(ParseError::Short { file: FILE, field: 1 })?];
    let fields: Vec<&[u8]> = line
        .split(|&byte| byte == b' ')
        .filter(|field| !field.is_empty())
        .collect();
    let count = |field: usize| {
        let text = fields.get(field).ok_or(ParseError::Short { file: FILE, field })?;
        decimal(text).ok_or(ParseError::NotANumber { file: FILE, field })
    };
    Ok(HostUse {
        user_ticks: count(1)? + count(2)?,
        system_ticks: count(3)?,
        idle_ticks: count(4)? + count(5)?,
        interrupt_ticks: count(6)? + count(7)?,
        steal_ticks: count(8)?,
    })
}

/// What the host used between two readings; a counter that went back (idle may, by a tick) counts as standing still.
#[must_use]
pub fn host_between(first: &HostUse, last: &HostUse) -> HostUse {
    HostUse {
        user_ticks: last.user_ticks.saturating_sub(first.user_ticks),
        system_ticks: last.system_ticks.saturating_sub(first.system_ticks),
        interrupt_ticks: last.interrupt_ticks.saturating_sub(first.interrupt_ticks),
        idle_ticks: last.idle_ticks.saturating_sub(first.idle_ticks),
        steal_ticks: last.steal_ticks.saturating_sub(first.steal_ticks),
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recorded from Linux 6.18.
    const RECORDED: &str = "25208 (cat) R 25198 25198 16669 0 -1 4194304 102 0 0 0 7 3 0 0 20 0 1 0 154736 3133440 365 18446744073709551615 94625376747520 94625376767401 140721598764064 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 94625376783408 94625376785024 94625666207744 140721598769657 140721598769677 140721598769677 140721598771179 0\n";

    const READ: Stat = Stat {
        is_dead: false,
        user_ticks: 7,
        system_ticks: 3,
        start_ticks: 154_736,
        rss_pages: 365,
    };

    #[test]
    fn a_recorded_line_is_read() {
        assert_eq!(stat(RECORDED.as_bytes()), Ok(READ));
        assert!(stat(RECORDED.replace(" R ", " Z ").as_bytes()).unwrap().is_dead);
    }

    #[test]
    fn names_hold_anything() {
        for name in ["a b", "a) R 1", "((", ") ) )", "x\ny) S 1 2 3\n", ""] {
            assert_eq!(stat(RECORDED.replace("cat", name).as_bytes()), Ok(READ), "{name:?}");
        }
    }

    #[test]
    fn a_short_read_is_an_error_never_a_smaller_number() {
        let needed = RECORDED.find(" 365 ").unwrap() + 5;
        for cut in 0..needed - 1 {
            assert!(stat(&RECORDED.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(stat(&RECORDED.as_bytes()[..needed]), Ok(READ));
    }

    #[test]
    fn schedstat_is_read() {
        assert_eq!(schedstat(b"1094752 17421 5\n"), Ok(1_094_752));
        assert_eq!(
            schedstat(b"10947"),
            Err(ParseError::Short {
                file: "schedstat",
                field: 1
            })
        );
        assert!(schedstat(b"").is_err() && schedstat(b"x 1 2\n").is_err());
    }

    #[test]
    fn the_host_is_read() {
        let text = b"cpu  60995 1 18737 225935 1794 2 496 220 0 0\ncpu0 1 2 3\n";
        let expected = HostUse {
            user_ticks: 60_996,
            system_ticks: 18_737,
            interrupt_ticks: 498,
            idle_ticks: 227_729,
            steal_ticks: 220,
        };
        assert_eq!(host(text), Ok(expected.clone()));
        assert!(host(&text[..20]).is_err());
        let later = HostUse {
            user_ticks: 61_000,
            idle_ticks: 0,
            ..expected.clone()
        };
        let between = host_between(&expected, &later);
        assert_eq!((between.user_ticks, between.idle_ticks), (4, 0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes: Vec<u8>) {
            let _ = (stat(&bytes), schedstat(&bytes), host(&bytes));
        }
    }
}
