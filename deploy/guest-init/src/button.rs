//! The power button, which asks the workload to stop.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::thread;

/// Bytes of a `struct input_event` on a 64-bit machine: 16 of time, then type, code and value.
const EVENT: usize = 24;
/// The type of a key's event.
const EV_KEY: u16 = 1;
/// The power key.
const KEY_POWER: u16 = 116;

/// Watches every input device in a thread of its own, and sends SIGTERM to the workload when the power button is pressed.
pub fn watch(workload: u32) {
    for path in devices() {
        thread::spawn(move || {
            if let Ok(device) = File::open(path) {
                follow(device, workload);
            }
        });
    }
}

fn devices() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/input").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("event"))
        .map(|entry| entry.path())
        .collect()
}

fn follow(mut device: File, workload: u32) {
    let mut event = [0; EVENT];
    while device.read_exact(&mut event).is_ok() {
        if is_press(&event) {
            println!("guest-init: the power button was pressed");
            terminate(workload);
        }
    }
}

fn is_press(event: &[u8; EVENT]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
    u16::from_ne_bytes([t0, t1]) == EV_KEY
        && u16::from_ne_bytes([c0, c1]) == KEY_POWER
        && i32::from_ne_bytes([v0, v1, v2, v3]) == 1
}

fn terminate(pid: u32) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        #[expect(unsafe_code, reason = "std has no such system call")]
        // SAFETY: no pointers. The process is a child that is not yet reaped, or no longer exists.
        unsafe {
            libc::kill(pid, libc::SIGTERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT] {
        let mut event = [7; EVENT];
        event[16..18].copy_from_slice(&kind.to_ne_bytes());
        event[18..20].copy_from_slice(&code.to_ne_bytes());
        event[20..].copy_from_slice(&value.to_ne_bytes());
        event
    }

    #[test]
    fn only_a_press_of_the_power_key_counts() {
        assert!(is_press(&event(1, 116, 1)));
        assert!(!is_press(&event(1, 116, 0)), "a release");
        assert!(!is_press(&event(1, 30, 1)), "another key");
        assert!(!is_press(&event(0, 0, 0)), "the end of a report");
    }
}
