//! The other side of the API: filling the platform, loading it as the thesis did, and checking what became of it.
//!
//! Data and checks stand alone (the feature `dataset`), so that another load generator sends the same requests and judges the replies by the
//! same rules; the rest is a client of its own.

#[cfg(feature = "jung")]
pub mod client;
pub mod dataset;
#[cfg(feature = "jung")]
pub mod drive;
#[cfg(feature = "jung")]
pub mod figures;
pub mod names;
#[cfg(feature = "jung")]
pub mod read_back;
pub mod reply;
#[cfg(feature = "jung")]
pub mod seed;
#[cfg(feature = "jung")]
pub mod spans;
pub mod truth;

#[cfg(feature = "jung")]
pub use client::{Client, ClientError};
