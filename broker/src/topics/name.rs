//! Which names a topic may have.

/// Longest name in bytes, as in Apache Kafka.
const LONGEST: usize = 249;

/// Says why a name is not a topic's. The rule also keeps a name from being a path.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name {
        "" => Err("topic name is empty"),
        "." | ".." => Err("topic name is '.' or '..'"),
        _ if name.len() > LONGEST => Err("topic name is longer than 249 characters"),
        _ if !name.bytes().all(plain) => {
            Err("topic name has characters other than ASCII letters, digits, '.', '_' and '-'")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_no_names() {
        for name in ["", ".", "..", "a/b", "../x", "a\0", "ä", &"x".repeat(250)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(check_name("jung.controller-1_x"), Ok(()));
    }
}
