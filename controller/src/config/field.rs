//! One value of a raw table, with the place where it stands.

/// A value that a file may hold under a key.
#[derive(Clone, Debug)]
pub struct Field<T> {
    /// The key.
    pub key: &'static str,
    /// The line of the value, from 1; `None` where the file has none.
    pub line: Option<usize>,
    /// The option of the command line that put it here, e.g. `--brokers`.
    pub option: Option<&'static str>,
    /// The value as it was written, cut to 60 characters.
    pub shown: String,
    /// The value.
    pub given: Given<T>,
}

/// What a file holds under a key.
#[derive(Clone, Debug)]
pub enum Given<T> {
    /// Nothing.
    Absent,
    /// A value of another type; that is a problem already noted, and no second one follows from it.
    Wrong,
    /// A value.
    Value(T),
}

impl<T> Field<T> {
    /// The value, if there is one of the right type.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match &self.given {
            Given::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the file has nothing under the key.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self.given, Given::Absent)
    }

    /// The field without its value.
    #[must_use]
    pub fn bare(&self) -> Field<()> {
        Field {
            key: self.key,
            line: self.line,
            option: self.option,
            shown: self.shown.clone(),
            given: match self.given {
                Given::Absent => Given::Absent,
                Given::Wrong => Given::Wrong,
                Given::Value(_) => Given::Value(()),
            },
        }
    }

    /// Puts a value of the command line in the place of the file's.
    pub(super) fn replace(&mut self, option: &'static str, shown: String, value: T) {
        self.option = Some(option);
        self.line = None;
        self.shown = cut(&shown);
        self.given = Given::Value(value);
    }

    /// Forgets what the file says.
    pub(super) fn clear(&mut self) {
        self.given = Given::Absent;
    }
}

/// The first line of a text, at most 60 characters of it.
pub(super) fn cut(text: &str) -> String {
    const MAX: usize = 60;
    let first = text.lines().next().unwrap_or_default();
    if first.chars().count() > MAX || first.len() < text.trim_end().len() {
        first.chars().take(MAX).chain("...".chars()).collect()
    } else {
        first.to_owned()
    }
}
