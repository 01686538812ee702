//! Device monitor (section 4.1.5): stores the readings of devices and returns them page by page.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use super::bus::Recovery;
use super::handler::{Handler, Outcome, TaskContext};
use super::message::{
    DeviceId, Fault, FaultKind, Page, ReadReadings, Reading, ReadingAnswer, ReadingTask, WriteReading, Written,
};

/// Maximum number of readings per page.
pub const MAX_PAGE_SIZE: u32 = 1000;

/// The device monitor. The readings of a device are in the instance that owns its partition.
#[derive(Debug)]
pub struct DeviceMonitor {
    keep: usize,
    devices: RefCell<HashMap<DeviceId, Readings>>,
}

/// The readings of a device, oldest first.
#[derive(Debug, Default)]
struct Readings {
    total: u64,
    kept: VecDeque<Reading>,
}

impl Handler for DeviceMonitor {
    type Tasks = ReadingTask;
    const RECOVERY: Recovery = Recovery::Replay;

    async fn handle(&self, _at: TaskContext, task: ReadingTask) -> Outcome<Self> {
        match task {
            ReadingTask::Write(write) => Ok(self.write(write).into()),
            ReadingTask::Read(read) => self.read(&read).map(ReadingAnswer::from),
            ReadingTask::Ping(ping) => Ok(ReadingAnswer::Pong(ping.pong())),
        }
    }

    fn replay(&self, _at: TaskContext, task: ReadingTask) {
        if let ReadingTask::Write(write) = task {
            self.write(write);
        }
    }
}

impl DeviceMonitor {
    /// Keeps the last `keep` readings of each device.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            devices: RefCell::default(),
        }
    }

    fn write(&self, write: WriteReading) -> Written {
        let mut devices = self.devices.borrow_mut();
        let readings = devices.entry(write.device).or_default();
        // Sorted by measurement time; readings may be written late.
        let place = readings
            .kept
            .partition_point(|kept| kept.timestamp_ms <= write.reading.timestamp_ms);
        readings.kept.insert(place, write.reading);
        if readings.kept.len() > self.keep {
            readings.kept.pop_front();
        }
        readings.total += 1;
        Written { total: readings.total }
    }

    /// A page of readings. A device without readings has one empty page.
    fn read(&self, read: &ReadReadings) -> Result<Page, Fault> {
        if !(1..=MAX_PAGE_SIZE).contains(&read.size) {
            return Err(Fault::new(
                FaultKind::Malformed,
                format!("invalid page size {}: must be 1 to {MAX_PAGE_SIZE}", read.size),
            ));
        }
        let devices = self.devices.borrow();
        let empty = Readings::default();
        let Readings { total, kept } = devices.get(&read.device).unwrap_or(&empty);
        let size = usize::try_from(read.size).unwrap_or(usize::MAX);
        let skip = usize::try_from(read.page).unwrap_or(usize::MAX).saturating_mul(size);
        if read.page > 0 && skip >= kept.len() {
            let pages = kept.len().div_ceil(size).max(1);
            return Err(Fault::new(
                FaultKind::NotFound,
                format!(
                    "page {} not found: device {} has {pages} pages of this size",
                    read.page, read.device
                ),
            ));
        }
        Ok(Page {
            total: *total,
            kept: u64::try_from(kept.len()).unwrap_or(u64::MAX),
            readings: kept.iter().rev().skip(skip).take(size).copied().collect(),
        })
    }
}
