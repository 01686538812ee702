//! The kernel's own log, `/dev/kmsg`: what it said while an attempt was measured, and what of it casts doubt on the result.
//!
//! Every read gives one message, `priority,number,µs,flags;text`, with properties on lines that begin with a space (kernel:
//! Documentation/ABI/testing/dev-kmsg). Where the device may not be read (`kernel.dmesg_restrict`, no root), that is said and nothing is known.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use protocol::summary::{KernelLogSummary, KernelTrouble, TroubleKind};

/// Where the kernel's messages are read.
pub const DEVICE: &str = "/dev/kmsg";

/// The longest message that the kernel gives (`PRINTK_MESSAGE_MAX` is 2048, with properties up to 8192).
const LONGEST: usize = 8192;

/// The most messages of one reading: more would be a flood.
const MOST: usize = 100_000;

/// The most troubles that are told; the first ones are nearest to the cause.
const TOLD: usize = 16;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number since boot.
    pub number: u64,
    /// Its text, without properties.
    pub text: String,
}

/// A reader that stands somewhere in the log.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// A reader that gets what comes from now on.
    ///
    /// # Errors
    /// The system's word, mostly that it may not be read.
    pub fn from_now(device: &Path) -> io::Result<Self> {
        let mut log = Self::from_the_start(device)?;
        log.0.seek(SeekFrom::End(0))?;
        Ok(log)
    }

    /// A reader that gets everything that the kernel still has.
    ///
    /// # Errors
    /// The system's word, mostly that it may not be read.
    pub fn from_the_start(device: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits());
        options.open(device).map(Self)
    }

    /// What has come since; what was overwritten before it was read is lost.
    pub fn read(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut bytes = vec![0; LONGEST];
        while messages.len() < MOST {
            match self.0.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => messages.extend(message(&String::from_utf8_lossy(&bytes[..length]))),
                // EPIPE: the kernel has overwritten what came next, and goes on with what is there.
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) => {}
                // EAGAIN: there is no more.
                Err(_) => break,
            }
        }
        messages
    }
}

/// What an attempt's messages come to; `None`: the log could not be read.
#[must_use]
pub fn summary(log: Option<KernelLog>) -> KernelLogSummary {
    let Some(mut log) = log else {
        return KernelLogSummary::default();
    };
    let messages = log.read();
    KernelLogSummary {
        is_readable: true,
        messages: messages.len() as u64,
        troubles: messages.iter().filter_map(trouble).take(TOLD).collect(),
    }
}

/// Reads one message.
fn message(record: &str) -> Option<Message> {
    let (head, text) = record.split_once(';')?;
    let number = head.split(',').nth(1)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default().trim_end().to_owned();
    Some(Message { number, text })
}

/// What a message says against a measurement; most say nothing.
fn trouble(message: &Message) -> Option<KernelTrouble> {
    const SIGNS: [(&str, TroubleKind); 15] = [
        ("Memory cgroup out of memory: Killed", TroubleKind::GroupOutOfMemory),
        ("Out of memory: Killed", TroubleKind::OutOfMemory),
        ("Out of memory: Kill process", TroubleKind::OutOfMemory),
        ("[Hardware Error]", TroubleKind::HardwareError),
        ("Machine check events logged", TroubleKind::HardwareError),
        ("EDAC ", TroubleKind::HardwareError),
        ("clock throttled", TroubleKind::Throttled),
        ("temperature above threshold", TroubleKind::Throttled),
        ("soft lockup", TroubleKind::Stall),
        ("hard LOCKUP", TroubleKind::Stall),
        ("detected stall", TroubleKind::Stall),
        ("blocked for more than", TroubleKind::Stall),
        ("I/O error", TroubleKind::InputOutput),
        ("clocksource: Marking clocksource", TroubleKind::Clock),
        ("NIC Link is Down", TroubleKind::InputOutput),
    ];
    let (_, kind) = SIGNS.iter().find(|(sign, _)| message.text.contains(sign))?;
    Some(KernelTrouble {
        kind: *kind,
        text: message.text.chars().take(200).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Message {
        Message {
            number: 1,
            text: text.to_owned(),
        }
    }

    #[test]
    fn messages_are_read_without_their_properties() {
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
    fn what_spoils_a_measurement_is_told_from_what_does_not() {
        let kind = |text: &str| trouble(&said(text)).map(|trouble| trouble.kind);
        let memcg = "Memory cgroup out of memory: Killed process 931 (workload) total-vm:12kB, anon-rss:4kB";
        assert_eq!(kind(memcg), Some(TroubleKind::GroupOutOfMemory));
        assert_eq!(
            kind("Out of memory: Killed process 7 (java) total-vm:1kB"),
            Some(TroubleKind::OutOfMemory)
        );
        assert_eq!(
            kind("mce: [Hardware Error]: CPU 2: Machine Check: 0 Bank 5: be00000000800400"),
            Some(TroubleKind::HardwareError)
        );
        assert_eq!(
            kind("CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)"),
            Some(TroubleKind::Throttled)
        );
        assert_eq!(
            kind("watchdog: BUG: soft lockup - CPU#1 stuck for 23s!"),
            Some(TroubleKind::Stall)
        );
        assert_eq!(kind("jgbr: port 6(jgt7) entered disabled state"), None);
        assert_eq!(trouble(&said(&"I/O error ".repeat(90))).unwrap().text.len(), 200);
    }

    #[test]
    fn a_log_that_cannot_be_read_is_said_to_be_so() {
        assert!(KernelLog::from_now(Path::new("/nowhere/kmsg")).is_err());
        assert!(!summary(None).is_readable);
    }
}
