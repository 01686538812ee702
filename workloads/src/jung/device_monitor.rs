//! Device monitor (section 4.1.5): keeps the readings of devices, and gives them out page by page.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use super::bus::Memory;
use super::handler::{At, Handler, Outcome};
use super::message::{
    DeviceId, Fault, Kind, Page, ReadReadings, Reading, ReadingAnswer, ReadingTask, WriteReading, Written,
};

/// The most readings of a page.
pub const LARGEST_PAGE: u32 = 1000;

/// The monitor; the readings of a device live in the instance that has the partition of its name.
#[derive(Debug)]
pub struct DeviceMonitor {
    keep: usize,
    devices: RefCell<HashMap<DeviceId, Readings>>,
}

/// The readings of one device, the oldest first.
#[derive(Debug, Default)]
struct Readings {
    total: u64,
    kept: VecDeque<Reading>,
}

impl Handler for DeviceMonitor {
    type Tasks = ReadingTask;
    const MEMORY: Memory = Memory::Log;

    async fn handle(&self, _at: At, task: ReadingTask) -> Outcome<Self> {
        match task {
            ReadingTask::Write(write) => Ok(self.write(write).into()),
            ReadingTask::Read(read) => self.read(&read).map(ReadingAnswer::from),
            ReadingTask::Ping(ping) => Ok(ReadingAnswer::Pong(ping.pong())),
        }
    }

    fn replay(&self, _at: At, task: ReadingTask) {
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
        // By the time they were measured: what is written later may be of the past.
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

    /// A device that has sent nothing yet has one page, which is empty.
    fn read(&self, read: &ReadReadings) -> Result<Page, Fault> {
        if !(1..=LARGEST_PAGE).contains(&read.size) {
            return Err(Fault::new(
                Kind::Malformed,
                format!("a page has 1 to {LARGEST_PAGE} readings"),
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
                Kind::NotFound,
                format!(
                    "there is no page {} of {}, which has {pages} of this size",
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
