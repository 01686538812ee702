//! What a thread of the generator does while there is nothing to do.

use serde::{Deserialize, Serialize};

/// Whether a thread sleeps while there is nothing to do.
///
/// A reply that comes to a sleeping thread waits for the kernel to wake it, which counts as response time: some microseconds on an awake CPU, tens of
/// them on one that an idle state has slowed down, hundreds in a virtual machine whose CPU was given back to its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// It sleeps, but not just before a request is due.
    #[default]
    Sleep,
    /// It never sleeps: it watches the clock and its sockets, and needs a CPU of its own.
    Spin,
}

impl Wait {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Spin => "spin",
        }
    }
}
