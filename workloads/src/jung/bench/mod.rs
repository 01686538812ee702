//! The other side of the API: filling the platform, loading it as the thesis did, and checking what became of it.

pub mod client;
pub mod dataset;
pub mod drive;
pub mod figures;
mod names;
pub mod seed;
pub mod spans;
pub mod truth;

pub use client::{Client, ClientError};
