//! The wire protocol: frames, validation before decoding, and the table of supported APIs.

mod api_table;
mod error;
mod frame;
mod request;
mod schema;
#[cfg(test)]
mod tests;

pub use api_table::{APIS, Api};
pub use error::FrameError;
pub use frame::{FrameReader, encode_response};
pub use request::{Request, decode};
