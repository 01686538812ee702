//! The kernel's log, `/dev/kmsg`: its messages during an attempt, and which of them make the result suspect.
//!
//! Every read returns one message, `priority,number,µs,flags;text`, with properties on lines that start with a space (kernel:
//! Documentation/ABI/testing/dev-kmsg). Without permission to read the device (`kernel.dmesg_restrict`, not root), the log is reported as unreadable.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use protocol::summary::{KernelEvent, KernelEventKind, KernelLogSummary};

/// The device of the kernel's log.
pub const DEVICE: &str = "/dev/kmsg";

/// The longest message (`PRINTK_MESSAGE_MAX` is 2048, with properties up to 8192).
const MAX_LENGTH: usize = 8192;

/// The largest number of messages that are read at once, against floods.
const MAX_MESSAGES: usize = 100_000;

/// The largest number of problems in a summary. The first ones are closest to the cause.
const MAX_PROBLEMS: usize = 16;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number since boot.
    pub number: u64,
    /// Its text, without properties.
    pub text: String,
}

/// A reader with a position in the log.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// A reader of the messages from now on.
    ///
    /// # Errors
    /// The system's error, usually a missing permission.
    pub fn from_now(device: &Path) -> io::Result<Self> {
        let mut log = Self::from_the_start(device)?;
        log.0.seek(SeekFrom::End(0))?;
        Ok(log)
    }

    /// A reader of all messages that the kernel still has.
    ///
    /// # Errors
    /// The system's error, usually a missing permission.
    pub fn from_the_start(device: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits());
        options.open(device).map(Self)
    }

    /// The messages since the last call, without those that were overwritten before they were read.
    pub fn read(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut bytes = vec![0; MAX_LENGTH];
        while messages.len() < MAX_MESSAGES {
            match self.0.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => messages.extend(message(&String::from_utf8_lossy(&bytes[..length]))),
                // EPIPE: the next messages were overwritten; the kernel continues with the oldest one it has.
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) => {}
                // EAGAIN: there are no more.
                Err(_) => break,
            }
        }
        messages
    }
}

/// The summary of an attempt's messages; `None`: the log could not be read.
#[must_use]
pub fn summary(log: Option<KernelLog>) -> KernelLogSummary {
    let Some(mut log) = log else {
        return KernelLogSummary::default();
    };
    let messages = log.read();
    KernelLogSummary {
        is_readable: true,
        messages: messages.len() as u64,
        troubles: messages.iter().filter_map(trouble).take(MAX_PROBLEMS).collect(),
    }
}

/// Parses one message.
fn message(record: &str) -> Option<Message> {
    let (head, text) = record.split_once(';')?;
    let number = head.split(',').nth(1)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default().trim_end().to_owned();
    Some(Message { number, text })
}

/// The problem for a measurement that a message reports; most report none.
fn trouble(message: &Message) -> Option<KernelEvent> {
    const PATTERNS: [(&str, KernelEventKind); 15] = [
        ("Memory cgroup out of memory: Killed", KernelEventKind::GroupOutOfMemory),
        ("Out of memory: Killed", KernelEventKind::OutOfMemory),
        ("Out of memory: Kill process", KernelEventKind::OutOfMemory),
        ("[Hardware Error]", KernelEventKind::HardwareError),
        ("Machine check events logged", KernelEventKind::HardwareError),
        ("EDAC ", KernelEventKind::HardwareError),
        ("clock throttled", KernelEventKind::Throttled),
        ("temperature above threshold", KernelEventKind::Throttled),
        ("soft lockup", KernelEventKind::Stall),
        ("hard LOCKUP", KernelEventKind::Stall),
        ("detected stall", KernelEventKind::Stall),
        ("blocked for more than", KernelEventKind::Stall),
        ("I/O error", KernelEventKind::InputOutput),
        ("clocksource: Marking clocksource", KernelEventKind::Clock),
        ("NIC Link is Down", KernelEventKind::InputOutput),
    ];
    let (_, kind) = PATTERNS.iter().find(|(pattern, _)| message.text.contains(pattern))?;
    Some(KernelEvent {
        kind: *kind,
        text: message.text.chars().take(200).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_text(text: &str) -> Message {
        Message {
            number: 1,
            text: text.to_owned(),
        }
    }

    #[test]
    fn messages_are_parsed_without_their_properties() {
        let record = "6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n DEVICE=+net:lo\n";
        let expected = Message {
            number: 339,
            text: "NET: Registered protocol family 10".into(),
        };
        assert_eq!(message(record), Some(expected));
        for cut in ["", "6,339", "6;x", "6,x,1,-;text", "6,;"] {
            assert_eq!(message(cut), None, "{cut:?}");
        }
        assert_eq!(message("4,1,2,c;").unwrap().text, "");
    }

    #[test]
    fn problems_for_a_measurement_are_recognised() {
        let kind = |text: &str| trouble(&with_text(text)).map(|trouble| trouble.kind);
        let memcg = "Memory cgroup out of memory: Killed process 931 (workload) total-vm:12kB, anon-rss:4kB";
        assert_eq!(kind(memcg), Some(KernelEventKind::GroupOutOfMemory));
        assert_eq!(
            kind("Out of memory: Killed process 7 (java) total-vm:1kB"),
            Some(KernelEventKind::OutOfMemory)
        );
        assert_eq!(
            kind("mce: [Hardware Error]: CPU 2: Machine Check: 0 Bank 5: be00000000800400"),
            Some(KernelEventKind::HardwareError)
        );
        assert_eq!(
            kind("CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)"),
            Some(KernelEventKind::Throttled)
        );
        assert_eq!(
            kind("watchdog: BUG: soft lockup - CPU#1 stuck for 23s!"),
            Some(KernelEventKind::Stall)
        );
        assert_eq!(kind("jgbr: port 6(jgt7) entered disabled state"), None);
        assert_eq!(trouble(&with_text(&"I/O error ".repeat(90))).unwrap().text.len(), 200);
    }

    #[test]
    fn an_unreadable_log_is_reported() {
        assert!(KernelLog::from_now(Path::new("/nowhere/kmsg")).is_err());
        assert!(!summary(None).is_readable);
    }
}
