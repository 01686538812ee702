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
pub struct Watch {
    /// The guest is up.
    pub ready: Regex,
    /// The guest panicked.
    pub panic: Option<Regex>,
    /// Its service exited; the first group is the exit code.
    pub exited: Option<Regex>,
}

/// What the console has shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
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

/// Reads a console to its end, updates `seen` and writes `log`.
pub async fn read(mut from: impl AsyncRead + Unpin, watch: Watch, seen: watch::Sender<Seen>, log: impl Write) {
    let mut scanner = Scanner {
        watch,
        line: Vec::new(),
    };
    let mut keeper = Keeper {
        log,
        room: HEAD,
        tail: VecDeque::new(),
        left_out: 0,
    };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..count];
        let now = Instant::now();
        seen.send_if_modified(|seen| {
            let first = seen.first_byte.is_none();
            seen.first_byte.get_or_insert(now);
            seen.bytes += count as u64;
            scanner.take(bytes, now, seen) || first
        });
        keeper.take(bytes);
    }
    keeper.finish();
    seen.send_modify(|seen| {
        scanner.line(Instant::now(), seen);
        seen.closed = true;
    });
}

struct Scanner {
    watch: Watch,
    line: Vec<u8>,
}

impl Scanner {
    /// Searches every line that ends in `bytes`; `true`: one matched.
    fn take(&mut self, bytes: &[u8], now: Instant, seen: &mut Seen) -> bool {
        let mut news = false;
        for &byte in bytes {
            if byte == b'\n' {
                news |= self.line(now, seen);
            } else if byte != b'\r' && self.line.len() < MAX_LINE {
                self.line.push(byte);
            }
        }
        news
    }

    fn line(&mut self, now: Instant, seen: &mut Seen) -> bool {
        let line = std::mem::take(&mut self.line);
        let matches = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(&line));
        let mut news = false;
        if seen.ready.is_none() && self.watch.ready.is_match(&line) {
            seen.ready = Some(now);
            news = true;
        }
        if seen.panic.is_none() && matches(&self.watch.panic) {
            seen.panic = Some(String::from_utf8_lossy(&line).chars().take(200).collect());
            news = true;
        }
        if seen.exited.is_none()
            && let Some(code) = self.watch.exited.as_ref().and_then(|regex| code(regex, &line))
        {
            seen.exited = Some(code);
            news = true;
        }
        news
    }
}

fn code(regex: &Regex, line: &[u8]) -> Option<i32> {
    std::str::from_utf8(regex.captures(line)?.get(1)?.as_bytes())
        .ok()?
        .parse()
        .ok()
}

struct Keeper<W> {
    log: W,
    room: usize,
    tail: VecDeque<u8>,
    left_out: usize,
}

impl<W: Write> Keeper<W> {
    /// A log that cannot be written (the disk is full, for example) does not stop the guest.
    fn take(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.room));
        let _ = self.log.write_all(head);
        self.room -= head.len();
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.left_out += over;
    }

    fn finish(&mut self) {
        if self.left_out > 0 {
            let _ = write!(
                self.log,
                "\n[jung: {} bytes of the console are omitted here]\n",
                self.left_out
            );
        }
        let _ = self.log.write_all(self.tail.make_contiguous());
        let _ = self.log.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watch {
        let regex = |pattern: &str| Regex::new(pattern).unwrap();
        Watch {
            ready: regex("^Booted up in "),
            panic: Some(regex("PANIC")),
            exited: Some(regex("returned (-?\\d+)$")),
        }
    }

    async fn seen(text: &[u8]) -> (Seen, Vec<u8>) {
        let (sender, receiver) = watch::channel(Seen::default());
        let mut log = Vec::new();
        read(text, watched(), sender, &mut log).await;
        (receiver.borrow().clone(), log)
    }

    #[tokio::test]
    async fn lines_are_recognized() {
        let text = b"OSv v0.57\r\nBooted up in 9.1 ms\r\nprogram /workload returned -3\r\n";
        let (seen, log) = seen(text).await;
        assert!(seen.ready.is_some() && seen.first_byte.is_some() && seen.closed);
        assert_eq!((seen.exited, seen.panic), (Some(-3), None));
        assert_eq!(log, text);
    }

    #[tokio::test]
    async fn a_last_line_without_newline_counts() {
        let (seen, _) = seen(b"x\n**** PANIC **** at 7\x04").await;
        assert_eq!(seen.panic.as_deref(), Some("**** PANIC **** at 7\x04"));
    }

    #[tokio::test]
    async fn a_silent_console_is_seen_as_such() {
        let (seen, log) = seen(b"").await;
        assert_eq!((seen.first_byte, seen.bytes, log.len()), (None, 0, 0));
    }

    #[tokio::test]
    async fn a_flooded_console_is_bounded() {
        let mut text = vec![b'x'; 4 * HEAD];
        text.extend(b"\nPANIC at the end\n");
        let (seen, log) = seen(&text).await;
        assert_eq!(seen.bytes, text.len() as u64);
        assert!(log.len() < HEAD + TAIL + 200, "{}", log.len());
        assert!(log.ends_with(b"\nPANIC at the end\n"));
        assert!(seen.panic.is_some());
        let omitted = format!("{} bytes of the console are omitted", text.len() - HEAD - TAIL);
        assert!(String::from_utf8_lossy(&log).contains(&omitted));
    }

    #[tokio::test]
    async fn binary_output_does_no_harm() {
        let (seen, log) = seen(b"\xff\xfe\0\nBooted up in 1\n").await;
        assert!(seen.ready.is_some());
        assert_eq!(log.len(), 19);
    }
}
