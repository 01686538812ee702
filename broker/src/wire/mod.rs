//! Bytes on the connection: frames, the check of their shape before they are decoded, the table of APIs spoken.

mod apis;
mod error;
mod frame;
mod request;
mod shape;
#[cfg(test)]
mod tests;

pub use apis::{APIS, Api};
pub use error::FrameError;
pub use frame::{FrameReader, answer_frame};
pub use request::{Request, decode};
