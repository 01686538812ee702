//! Rule engine (section 4.1.7): once a second it looks at the newest reading of every device that has rules, and sends
//! the command of each rule that the reading does not comply with.
//!
//! A reading that has fired is not fired for again: the device changes at once, but says so only with its next reading.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use uuid::Uuid;

use super::bus::{Bus, Memory};
use super::every_second::{EverySecond, slot_of};
use super::handler::{At, Handler, Outcome};
use super::message::{
    CreateRule, DeviceId, Fault, GetDevice, GetRules, Origin, ReadReadings, Reading, Rule, RuleAnswer, RuleCreated,
    RuleTask, Rules, SendCommand,
};

/// The most rules of a device.
const MOST_RULES: usize = 100;

/// The rule engine; the rules of a device live in the instance that has the partition of its name.
pub struct RuleEngine<B> {
    bus: Arc<B>,
    devices: RefCell<HashMap<DeviceId, Watched>>,
    owned: Box<dyn Fn(i32) -> bool>,
    concurrency: usize,
}

/// A device whose readings are looked at.
#[derive(Debug, Default)]
struct Watched {
    partition: i32,
    slot: usize,
    rules: Vec<Rule>,
    /// The reading that has fired last.
    fired_for: Option<Reading>,
    /// A check is under way.
    checked_now: bool,
}

impl<B> std::fmt::Debug for RuleEngine<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleEngine")
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

impl<B: Bus> Handler for RuleEngine<B> {
    type Tasks = RuleTask;
    const MEMORY: Memory = Memory::Log;

    async fn handle(&self, at: At, task: RuleTask) -> Outcome<Self> {
        match task {
            RuleTask::Create(create) => self.create(at, create).await,
            RuleTask::Get(get) => Ok(self.rules(&get).into()),
            RuleTask::Ping(ping) => Ok(RuleAnswer::Pong(ping.pong())),
        }
    }

    fn replay(&self, at: At, task: RuleTask) {
        if let RuleTask::Create(create) = task {
            // A rule too many was refused then and is now.
            let _ = self.insert(at.partition, create);
        }
    }

    async fn background(&self) {
        let mut clock = EverySecond::start();
        let mut checks = FuturesUnordered::new();
        let mut turn = VecDeque::new();
        loop {
            tokio::select! {
                Some(()) = checks.next() => {}
                slot = clock.next() => turn.extend(self.due(slot)),
            }
            while checks.len() < self.concurrency {
                let Some(device) = turn.pop_front() else { break };
                checks.push(self.check(device));
            }
        }
    }
}

impl<B: Bus> RuleEngine<B> {
    /// An engine without rules, which checks those devices whose partition is `owned`, and at most `concurrency` of
    /// them at a time.
    pub fn new(bus: Arc<B>, concurrency: usize, owned: impl Fn(i32) -> bool + 'static) -> Self {
        Self {
            bus,
            devices: RefCell::default(),
            owned: Box::new(owned),
            concurrency,
        }
    }

    async fn create(&self, at: At, create: CreateRule) -> Outcome<Self> {
        let cached = self.devices.borrow().contains_key(&create.device);
        if !cached {
            self.bus
                .ask(
                    at.trace,
                    GetDevice {
                        device: create.device.clone(),
                    },
                )
                .await?;
        }
        self.insert(at.partition, create)?;
        Ok(RuleCreated {}.into())
    }

    fn insert(&self, partition: i32, create: CreateRule) -> Result<(), Fault> {
        let mut devices = self.devices.borrow_mut();
        let slot = slot_of(&create.device);
        let watched = devices.entry(create.device).or_default();
        (watched.partition, watched.slot) = (partition, slot);
        if watched.rules.iter().any(|rule| rule.id == create.rule.id) {
            return Ok(());
        }
        if watched.rules.len() == MOST_RULES {
            return Err(Fault::conflict("number of rules:", MOST_RULES));
        }
        watched.rules.push(create.rule);
        Ok(())
    }

    fn rules(&self, get: &GetRules) -> Rules {
        let devices = self.devices.borrow();
        Rules {
            rules: devices
                .get(&get.device)
                .map(|watched| watched.rules.clone())
                .unwrap_or_default(),
        }
    }

    /// The devices whose turn it is; one whose last check still waits is left out.
    fn due(&self, slot: usize) -> Vec<DeviceId> {
        let mut devices = self.devices.borrow_mut();
        let due = |watched: &Watched| watched.slot == slot && !watched.checked_now && (self.owned)(watched.partition);
        let due = devices.iter_mut().filter(|(_, watched)| due(watched));
        due.map(|(device, watched)| {
            watched.checked_now = true;
            device.clone()
        })
        .collect()
    }

    async fn check(&self, device: DeviceId) {
        // What cannot be read or commanded now is tried again in a second; the bus has counted it.
        let fired = self.fire(&device).await.ok().flatten();
        if let Some(watched) = self.devices.borrow_mut().get_mut(&device) {
            watched.checked_now = false;
            watched.fired_for = fired.or(watched.fired_for);
        }
    }

    /// Sends the commands of all rules that the newest reading violates; returns that reading if there are any.
    async fn fire(&self, device: &DeviceId) -> Result<Option<Reading>, Fault> {
        let trace = Uuid::new_v4();
        let page = self
            .bus
            .ask(
                trace,
                ReadReadings {
                    device: device.clone(),
                    page: 0,
                    size: 1,
                },
            )
            .await?;
        let Some(newest) = page.readings.first().copied() else {
            return Ok(None);
        };
        let violated = self.violated(device, newest);
        for rule in &violated {
            let command = Uuid::new_v4();
            let command = SendCommand {
                command,
                device: device.clone(),
                value: rule.command,
                origin: Origin::Rule,
            };
            self.bus.ask(trace, command).await?;
        }
        Ok((!violated.is_empty()).then_some(newest))
    }

    fn violated(&self, device: &DeviceId, newest: Reading) -> Vec<Rule> {
        let devices = self.devices.borrow();
        match devices.get(device) {
            Some(watched) if watched.fired_for != Some(newest) => watched
                .rules
                .iter()
                .filter(|rule| rule.violated_by(newest.value))
                .copied()
                .collect(),
            _ => Vec::new(),
        }
    }
}
