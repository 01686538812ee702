//! Tasks of the device monitor: WRITE and READ.

use serde::{Deserialize, Serialize};

use super::{DeviceId, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the device monitor.
    ReadingTask => ReadingAnswer of Service::DeviceMonitor;
    /// Stores a reading.
    "WRITE" Write(WriteReading) => Written, |it| Route::Key(it.device.as_str());
    /// Fetches a page of readings.
    "READ" Read(ReadReadings) => Page, |it| Route::Key(it.device.as_str());
}

/// One reading of a device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Time of measurement in ms since the Unix epoch, by the device gateway's clock.
    pub timestamp_ms: u64,
    /// The state of the device.
    pub value: f64,
}

/// Stores a reading. Sent by the device gateway without waiting for a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteReading {
    /// The device.
    pub device: DeviceId,
    /// The reading.
    pub reading: Reading,
}

/// The reading is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Total number of readings of the device.
    pub total: u64,
}

/// Fetches a page of readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadReadings {
    /// The device.
    pub device: DeviceId,
    /// Page number, starting at 0.
    pub page: u32,
    /// Page size.
    pub size: u32,
}

/// A page of readings, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Total number of readings of the device.
    pub total: u64,
    /// Number of readings that are stored.
    pub kept: u64,
    /// The readings of this page.
    pub readings: Vec<Reading>,
}
