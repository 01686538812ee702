//! Rule engine (section 4.1.7): once a second it checks the latest reading of every device with rules and sends the
//! command of each violated rule.
//!
//! A reading fires at most once, because the device changes immediately but reports it only in its next reading.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use uuid::Uuid;

use super::bus::{Bus, Recovery};
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{
    CreateRule, DeviceId, Fault, FaultKind, GetDevice, GetRules, Origin, ReadReadings, Reading, Rule, RuleAnswer,
    RuleCreated, RuleTask, Rules, SendCommand,
};
use super::slot_clock::{SlotClock, slot_of};

/// Maximum number of rules per device.
const MAX_RULES: usize = 100;

/// The rule engine. The rules of a device are in the instance that owns its partition.
pub struct RuleEngine<B> {
    bus: Arc<B>,
    devices: RefCell<HashMap<DeviceId, Watched>>,
    owned: Box<dyn Fn(i32) -> bool>,
    concurrency: usize,
}

/// A device with rules.
#[derive(Debug, Default)]
struct Watched {
    partition: i32,
    slot: usize,
    rules: Vec<Rule>,
    /// The last reading that fired.
    fired_for: Option<Reading>,
    /// Whether a check is in flight.
    checking: bool,
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
    const RECOVERY: Recovery = Recovery::Replay;

    async fn handle(&self, at: TaskContext, task: RuleTask) -> Outcome<Self> {
        match task {
            RuleTask::Create(create) => self.create(at, create).await,
            RuleTask::Get(get) => Ok(self.rules(&get).into()),
            RuleTask::Ping(ping) => Ok(RuleAnswer::Pong(ping.pong())),
        }
    }

    fn replay(&self, at: TaskContext, task: RuleTask) {
        if let RuleTask::Create(create) = task {
            // A rule over the limit was refused before and is refused again.
            let _ = self.insert(at.partition, create);
        }
    }

    async fn background(&self) {
        let mut clock = SlotClock::start();
        let mut checks = FuturesUnordered::new();
        let mut queue = VecDeque::new();
        loop {
            tokio::select! {
                Some(()) = checks.next() => {}
                slot = clock.next() => queue.extend(self.due(slot)),
            }
            while checks.len() < self.concurrency {
                let Some(device) = queue.pop_front() else { break };
                checks.push(self.check(device));
            }
        }
    }
}

impl<B: Bus> RuleEngine<B> {
    /// An engine without rules. It checks the devices whose partition is `owned`, at most `concurrency` of them at a
    /// time.
    pub fn new(bus: Arc<B>, concurrency: usize, owned: impl Fn(i32) -> bool + 'static) -> Self {
        Self {
            bus,
            devices: RefCell::default(),
            owned: Box::new(owned),
            concurrency,
        }
    }

    async fn create(&self, at: TaskContext, create: CreateRule) -> Outcome<Self> {
        let cached = self.devices.borrow().contains_key(&create.device);
        if !cached {
            self.bus
                .request(
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
        if watched.rules.len() == MAX_RULES {
            return Err(Fault::new(
                FaultKind::Conflict,
                format!("the device already has the maximum of {MAX_RULES} rules"),
            ));
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

    /// The devices to check in a slot, without those whose last check is still in flight.
    fn due(&self, slot: usize) -> Vec<DeviceId> {
        let mut devices = self.devices.borrow_mut();
        let due = |watched: &Watched| watched.slot == slot && !watched.checking && (self.owned)(watched.partition);
        let due = devices.iter_mut().filter(|(_, watched)| due(watched));
        due.map(|(device, watched)| {
            watched.checking = true;
            device.clone()
        })
        .collect()
    }

    async fn check(&self, device: DeviceId) {
        // A failed check is retried in a second; the bus has counted the failure.
        let fired = self.fire(&device).await.ok().flatten();
        if let Some(watched) = self.devices.borrow_mut().get_mut(&device) {
            watched.checking = false;
            watched.fired_for = fired.or(watched.fired_for);
        }
    }

    /// Sends the commands of all rules that the latest reading violates; returns that reading if there are any.
    async fn fire(&self, device: &DeviceId) -> Result<Option<Reading>, Fault> {
        let trace = Uuid::new_v4();
        let page = self
            .bus
            .request(
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
            self.bus.request(trace, command).await?;
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
