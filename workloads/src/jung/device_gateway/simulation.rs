//! The simulated devices of a gateway and the log of their commands.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

use uuid::Uuid;

use crate::jung::message::{Actuate, DeviceId, Fault};
use crate::jung::record::{Entry, Seen};
use crate::jung::slot_clock::slot_of;

/// Maximum number of commands in the log; older ones are evicted and counted.
pub const MAX_COMMANDS: usize = 1_000_000;

#[derive(Debug)]
struct SimulatedDevice {
    value: f64,
    slot: usize,
    readings: u64,
    commands: u64,
    attached: Instant,
    /// Sequence number of the last command if its state was not read yet.
    unread: Option<u64>,
}

/// SimulatedDevice devices and their command log.
#[derive(Debug)]
pub struct Simulation {
    started: Instant,
    devices: BTreeMap<DeviceId, SimulatedDevice>,
    commands: VecDeque<Entry>,
    executed: HashSet<Uuid>,
    dropped: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            devices: BTreeMap::new(),
            commands: VecDeque::new(),
            executed: HashSet::new(),
            dropped: 0,
        }
    }
}

impl Simulation {
    /// Attaches a device; an attached one keeps its state.
    pub fn attach(&mut self, device: DeviceId, value: f64) {
        let slot = slot_of(&device);
        self.devices.entry(device).or_insert_with(|| SimulatedDevice {
            value,
            slot,
            readings: 0,
            commands: 0,
            attached: Instant::now(),
            unread: None,
        });
    }

    /// Executes a command, once.
    ///
    /// # Errors
    /// A fault if the device is not attached.
    pub fn actuate(&mut self, actuate: &Actuate) -> Result<(), Fault> {
        let at_ns = self.now_ns();
        let device = self
            .devices
            .get_mut(&actuate.device)
            .ok_or_else(|| Fault::not_found("device", &actuate.device))?;
        if !self.executed.insert(actuate.command) {
            return Ok(());
        }
        let number = self.dropped + u64::try_from(self.commands.len()).unwrap_or(u64::MAX);
        let before = std::mem::replace(&mut device.value, actuate.value);
        device.commands += 1;
        device.unread = Some(number);
        self.commands.push_back(Entry {
            number,
            command: actuate.command,
            device: actuate.device.clone(),
            origin: actuate.origin,
            before,
            after: actuate.value,
            at_ns,
            read_at_ns: None,
        });
        if self.commands.len() > MAX_COMMANDS
            && let Some(oldest) = self.commands.pop_front()
        {
            self.executed.remove(&oldest.command);
            self.dropped += 1;
        }
        Ok(())
    }

    /// Takes a reading of every device in a slot.
    pub fn measure(&mut self, slot: usize) -> Vec<(DeviceId, f64)> {
        let now = self.now_ns();
        let mut readings = Vec::new();
        for (name, device) in self.devices.iter_mut().filter(|(_, device)| device.slot == slot) {
            device.readings += 1;
            readings.push((name.clone(), device.value));
            let index = device.unread.take().and_then(|number| number.checked_sub(self.dropped));
            let entry = index.and_then(|index| self.commands.get_mut(usize::try_from(index).ok()?));
            if let Some(entry) = entry {
                entry.read_at_ns = Some(now);
            }
        }
        readings
    }

    /// All devices, sorted by id.
    #[must_use]
    pub fn devices(&self) -> Vec<Seen> {
        let seen = |(name, device): (&DeviceId, &SimulatedDevice)| Seen {
            device: name.clone(),
            value: device.value,
            readings: device.readings,
            commands: device.commands,
            attached_ns: nanoseconds(device.attached),
        };
        self.devices.iter().map(seen).collect()
    }

    /// The commands from a sequence number on, at most `limit` of them.
    #[must_use]
    pub fn commands(&self, from: u64, limit: usize) -> Vec<Entry> {
        let skip = usize::try_from(from.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.commands.iter().skip(skip).take(limit).cloned().collect()
    }

    /// Number of commands evicted from the log.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Current time, in ns since the gateway started.
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
    fn command_is_executed_and_logged_once() {
        let (mut simulation, device) = (Simulation::default(), DeviceId::try_from("d".to_owned()).unwrap());
        simulation.attach(device.clone(), 20.0);
        let command = actuate(&device, 30.0);
        simulation.actuate(&command).unwrap();
        simulation.actuate(&command).unwrap();
        simulation.attach(device.clone(), 99.0);
        let seen = &simulation.devices()[0];
        assert_eq!((seen.value, seen.commands), (30.0, 1));
        let entries = simulation.commands(0, 10);
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].before, entries[0].after), (20.0, 30.0));
    }

    #[test]
    fn log_contains_the_time_of_the_first_reading() {
        let (mut simulation, device) = (Simulation::default(), DeviceId::try_from("d".to_owned()).unwrap());
        simulation.attach(device.clone(), 0.0);
        simulation.actuate(&actuate(&device, 1.0)).unwrap(); // overtaken before it was read
        simulation.actuate(&actuate(&device, 2.0)).unwrap();
        assert_eq!(simulation.measure(slot_of(&device)), [(device.clone(), 2.0)]);
        let first = simulation.commands(1, 1)[0].read_at_ns.unwrap();
        simulation.measure(slot_of(&device));
        let entries = simulation.commands(0, 10);
        assert_eq!(entries[0].read_at_ns, None);
        assert_eq!(entries[1].read_at_ns, Some(first), "only the first reading counts");
        assert_eq!(simulation.devices()[0].readings, 2);
    }

    #[test]
    fn unknown_device_is_a_fault() {
        let device = DeviceId::try_from("ghost".to_owned()).unwrap();
        let fault = Simulation::default().actuate(&actuate(&device, 1.0)).unwrap_err();
        assert!(fault.message.contains("ghost"), "{fault}");
    }
}
