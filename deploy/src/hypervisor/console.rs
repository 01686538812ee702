//! The guest's serial console: logged up to a limit, and searched for the lines that matter.
//!
//! A guest that floods its console fills neither disk nor memory: the first part is written as it arrives; of the rest only the tail is kept, and written at the end.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Instant;

use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

/// Bytes that are written as they arrive.
pub const HEAD: usize = 512 * 1024;
/// Bytes kept of what follows.
pub const TAIL: usize = 64 * 1024;
/// The longest line that is searched, bytes.
const MAX_LINE: usize = 4096;

/// The lines that matter.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// The guest is up.
    pub ready: Regex,
    /// The guest panicked.
    pub panic: Option<Regex>,
    /// Its service exited; the first group is the exit code.
    pub exited: Option<Regex>,
}

/// What the console has shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleState {
    /// When the first byte arrived.
    pub first_byte: Option<Instant>,
    /// When a line showed that the guest is up.
    pub ready: Option<Instant>,
    /// The line that shows a panic.
    pub panic: Option<String>,
    /// The service's exit code.
    pub exited: Option<i32>,
    /// All bytes, including those that are not kept.
    pub bytes: u64,
    /// The console has closed.
    pub closed: bool,
}

/// Reads a console to its end, updates `state` and writes `log`.
pub async fn read(
    mut from: impl AsyncRead + Unpin,
    patterns: Patterns,
    state: watch::Sender<ConsoleState>,
    log: impl Write,
) {
    let mut scanner = Scanner {
        patterns,
        line: Vec::new(),
    };
    let mut log = BoundedLog {
        file: log,
        room: HEAD,
        tail: VecDeque::new(),
        omitted: 0,
    };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..count];
        let now = Instant::now();
        state.send_if_modified(|state| {
            let first = state.first_byte.is_none();
            state.first_byte.get_or_insert(now);
            state.bytes += count as u64;
            scanner.take(bytes, now, state) || first
        });
        log.take(bytes);
    }
    log.finish();
    state.send_modify(|state| {
        scanner.line(Instant::now(), state);
        state.closed = true;
    });
}

struct Scanner {
    patterns: Patterns,
    line: Vec<u8>,
}

impl Scanner {
    /// Searches every line that ends in `bytes`; `true`: one matched.
    fn take(&mut self, bytes: &[u8], now: Instant, state: &mut ConsoleState) -> bool {
        let mut changed = false;
        for &byte in bytes {
            if byte == b'\n' {
                changed |= self.line(now, state);
            } else if byte != b'\r' && self.line.len() < MAX_LINE {
                self.line.push(byte);
            }
        }
        changed
    }

    fn line(&mut self, now: Instant, state: &mut ConsoleState) -> bool {
        let line = std::mem::take(&mut self.line);
        let matches = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(&line));
        let mut changed = false;
        if state.ready.is_none() && self.patterns.ready.is_match(&line) {
            state.ready = Some(now);
            changed = true;
        }
        if state.panic.is_none() && matches(&self.patterns.panic) {
            state.panic = Some(String::from_utf8_lossy(&line).chars().take(200).collect());
            changed = true;
        }
        if state.exited.is_none()
            && let Some(code) = self.patterns.exited.as_ref().and_then(|regex| code(regex, &line))
        {
            state.exited = Some(code);
            changed = true;
        }
        changed
    }
}

fn code(regex: &Regex, line: &[u8]) -> Option<i32> {
    std::str::from_utf8(regex.captures(line)?.get(1)?.as_bytes())
        .ok()?
        .parse()
        .ok()
}

struct BoundedLog<W> {
    file: W,
    room: usize,
    tail: VecDeque<u8>,
    omitted: usize,
}

impl<W: Write> BoundedLog<W> {
    /// A log that cannot be written (the disk is full, for example) does not stop the guest.
    fn take(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.room));
        let _ = self.file.write_all(head);
        self.room -= head.len();
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.omitted += over;
    }

    fn finish(&mut self) {
        if self.omitted > 0 {
            let _ = write!(
                self.file,
                "\n[jung: {} bytes of the console are omitted here]\n",
                self.omitted
            );
        }
        let _ = self.file.write_all(self.tail.make_contiguous());
        let _ = self.file.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns() -> Patterns {
        let regex = |pattern: &str| Regex::new(pattern).unwrap();
        Patterns {
            ready: regex("^Booted up in "),
            panic: Some(regex("PANIC")),
            exited: Some(regex("returned (-?\\d+)$")),
        }
    }

    async fn read_all(text: &[u8]) -> (ConsoleState, Vec<u8>) {
        let (sender, receiver) = watch::channel(ConsoleState::default());
        let mut log = Vec::new();
        read(text, patterns(), sender, &mut log).await;
        (receiver.borrow().clone(), log)
    }

    #[tokio::test]
    async fn lines_are_recognized() {
        let text = b"OSv v0.57\r\nBooted up in 9.1 ms\r\nprogram /workload returned -3\r\n";
        let (state, log) = read_all(text).await;
        assert!(state.ready.is_some() && state.first_byte.is_some() && state.closed);
        assert_eq!((state.exited, state.panic), (Some(-3), None));
        assert_eq!(log, text);
    }

    #[tokio::test]
    async fn a_last_line_without_newline_counts() {
        let (state, _) = read_all(b"x\n**** PANIC **** at 7\x04").await;
        assert_eq!(state.panic.as_deref(), Some("**** PANIC **** at 7\x04"));
    }

    #[tokio::test]
    async fn a_silent_console_is_seen_as_such() {
        let (state, log) = read_all(b"").await;
        assert_eq!((state.first_byte, state.bytes, log.len()), (None, 0, 0));
    }

    #[tokio::test]
    async fn a_flooded_console_is_bounded() {
        let mut text = vec![b'x'; 4 * HEAD];
        text.extend(b"\nPANIC at the end\n");
        let (state, log) = read_all(&text).await;
        assert_eq!(state.bytes, text.len() as u64);
        assert!(log.len() < HEAD + TAIL + 200, "{}", log.len());
        assert!(log.ends_with(b"\nPANIC at the end\n"));
        assert!(state.panic.is_some());
        let omitted = format!("{} bytes of the console are omitted", text.len() - HEAD - TAIL);
        assert!(String::from_utf8_lossy(&log).contains(&omitted));
    }

    #[tokio::test]
    async fn binary_output_does_no_harm() {
        let (state, log) = read_all(b"\xff\xfe\0\nBooted up in 1\n").await;
        assert!(state.ready.is_some());
        assert_eq!(log.len(), 19);
    }
}
