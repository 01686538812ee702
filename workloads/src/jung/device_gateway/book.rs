//! The devices of a gateway, their state, and what happened to them.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

use uuid::Uuid;

use crate::jung::every_second::slot_of;
use crate::jung::message::{Actuate, DeviceId, Fault};
pub use crate::jung::record::{Entry, Seen};

/// The most commands that the book keeps; older ones fall out and are counted.
pub const LONGEST: usize = 1_000_000;

#[derive(Debug)]
struct Simulated {
    value: f64,
    slot: usize,
    readings: u64,
    commands: u64,
    attached: Instant,
    /// The number of the entry whose state has not been read yet.
    unread: Option<u64>,
}

/// Devices and commands.
#[derive(Debug)]
pub struct Book {
    started: Instant,
    devices: BTreeMap<DeviceId, Simulated>,
    entries: VecDeque<Entry>,
    obeyed: HashSet<Uuid>,
    dropped: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            devices: BTreeMap::new(),
            entries: VecDeque::new(),
            obeyed: HashSet::new(),
            dropped: 0,
        }
    }
}

impl Book {
    /// Hangs a device on the gateway; one that hangs there keeps its state.
    pub fn attach(&mut self, device: DeviceId, value: f64) {
        let slot = slot_of(&device);
        self.devices.entry(device).or_insert_with(|| Simulated {
            value,
            slot,
            readings: 0,
            commands: 0,
            attached: Instant::now(),
            unread: None,
        });
    }

    /// Lets a device obey a command, once.
    ///
    /// # Errors
    /// A fault if no such device hangs here.
    pub fn actuate(&mut self, actuate: &Actuate) -> Result<(), Fault> {
        let at_ns = self.now_ns();
        let device = self
            .devices
            .get_mut(&actuate.device)
            .ok_or_else(|| Fault::not_found("device", &actuate.device))?;
        if !self.obeyed.insert(actuate.command) {
            return Ok(());
        }
        let number = self.dropped + u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let before = std::mem::replace(&mut device.value, actuate.value);
        device.commands += 1;
        device.unread = Some(number);
        self.entries.push_back(Entry {
            number,
            command: actuate.command,
            device: actuate.device.clone(),
            origin: actuate.origin,
            before,
            after: actuate.value,
            at_ns,
            read_at_ns: None,
        });
        if self.entries.len() > LONGEST
            && let Some(oldest) = self.entries.pop_front()
        {
            self.obeyed.remove(&oldest.command);
            self.dropped += 1;
        }
        Ok(())
    }

    /// Takes a reading of every device whose slot it is.
    pub fn measure(&mut self, slot: usize) -> Vec<(DeviceId, f64)> {
        let now = self.now_ns();
        let mut readings = Vec::new();
        for (name, device) in self.devices.iter_mut().filter(|(_, device)| device.slot == slot) {
            device.readings += 1;
            readings.push((name.clone(), device.value));
            let place = device.unread.take().and_then(|number| number.checked_sub(self.dropped));
            let entry = place.and_then(|place| self.entries.get_mut(usize::try_from(place).ok()?));
            if let Some(entry) = entry {
                entry.read_at_ns = Some(now);
            }
        }
        readings
    }

    /// All devices by name.
    #[must_use]
    pub fn devices(&self) -> Vec<Seen> {
        let seen = |(name, device): (&DeviceId, &Simulated)| Seen {
            device: name.clone(),
            value: device.value,
            readings: device.readings,
            commands: device.commands,
            attached_ns: nanoseconds(device.attached),
        };
        self.devices.iter().map(seen).collect()
    }

    /// The commands from a number on, at most `most` of them, in the order they came.
    #[must_use]
    pub fn commands(&self, from: u64, most: usize) -> Vec<Entry> {
        let skip = usize::try_from(from.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).take(most).cloned().collect()
    }

    /// Commands that fell out of the book.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Now, ns since the gateway came up.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        nanoseconds(self.started)
    }
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jung::message::Origin;

    fn actuate(device: &DeviceId, value: f64) -> Actuate {
        Actuate {
            gateway: "g".into(),
            command: Uuid::new_v4(),
            device: device.clone(),
            value,
            origin: Origin::User,
        }
    }

    #[test]
    fn a_command_is_obeyed_once_and_noted() {
        let (mut book, device) = (Book::default(), DeviceId::try_from("d".to_owned()).unwrap());
        book.attach(device.clone(), 20.0);
        let command = actuate(&device, 30.0);
        book.actuate(&command).unwrap();
        book.actuate(&command).unwrap();
        book.attach(device.clone(), 99.0);
        let seen = &book.devices()[0];
        assert_eq!((seen.value, seen.commands), (30.0, 1));
        let entries = book.commands(0, 10);
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].before, entries[0].after), (20.0, 30.0));
    }

    #[test]
    fn the_book_says_when_a_state_was_first_read() {
        let (mut book, device) = (Book::default(), DeviceId::try_from("d".to_owned()).unwrap());
        book.attach(device.clone(), 0.0);
        book.actuate(&actuate(&device, 1.0)).unwrap(); // overtaken before it was read
        book.actuate(&actuate(&device, 2.0)).unwrap();
        assert_eq!(book.measure(slot_of(&device)), [(device.clone(), 2.0)]);
        let first = book.commands(1, 1)[0].read_at_ns.unwrap();
        book.measure(slot_of(&device));
        let entries = book.commands(0, 10);
        assert_eq!(entries[0].read_at_ns, None);
        assert_eq!(entries[1].read_at_ns, Some(first), "only the first reading counts");
        assert_eq!(book.devices()[0].readings, 2);
    }

    #[test]
    fn an_unknown_device_is_a_fault() {
        let device = DeviceId::try_from("ghost".to_owned()).unwrap();
        let fault = Book::default().actuate(&actuate(&device, 1.0)).unwrap_err();
        assert!(fault.what.contains("ghost"), "{fault}");
    }
}
