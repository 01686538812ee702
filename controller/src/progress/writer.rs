//! Where logs go.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::fmt::MakeWriter;

/// Standard error; bars that are drawn there step aside for every line.
#[derive(Clone, Debug)]
pub struct LogWriter(Option<MultiProgress>);

impl LogWriter {
    /// Standard error without any bars.
    #[must_use]
    pub const fn plain() -> Self {
        Self(None)
    }

    pub(super) fn beside(bars: &MultiProgress) -> Self {
        Self(Some(bars.clone()))
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write_all(bytes).map(|()| bytes.len());
        match &self.0 {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
