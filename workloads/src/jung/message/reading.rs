//! Tasks of the device monitor: WRITE and READ.

use serde::{Deserialize, Serialize};

use super::{DeviceId, Route, tasks};
use crate::jung::service::Service;

tasks! {
    /// The tasks of the device monitor.
    ReadingTask => ReadingAnswer of Service::DeviceMonitor;
    /// Keeps a reading.
    "WRITE" Write(WriteReading) => Written, |it| Route::Key(it.device.as_str());
    /// Fetches a page of readings.
    "READ" Read(ReadReadings) => Page, |it| Route::Key(it.device.as_str());
}

/// One reading of a device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// When it was measured, ms since 1970 by the device gateway's clock.
    pub timestamp_ms: u64,
    /// The state of the device.
    pub value: f64,
}

/// Keeps a reading; sent by the device gateway, which wants no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteReading {
    /// The device that measured.
    pub device: DeviceId,
    /// What it measured.
    pub reading: Reading,
}

/// The reading is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// How many readings the device has sent.
    pub total: u64,
}

/// Fetches a page of readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadReadings {
    /// The device.
    pub device: DeviceId,
    /// Which page, the first being 0.
    pub page: u32,
    /// Readings a page.
    pub size: u32,
}

/// A page of readings, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// How many readings the device has sent since it is known.
    pub total: u64,
    /// How many of them are kept, and can be had.
    pub kept: u64,
    /// Those of this page.
    pub readings: Vec<Reading>,
}
