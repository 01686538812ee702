//! Outcomes as they go over the wire, and back.
//!
//! * [`result`] — what came of it; [`pieces`] — what is too long for one message.

pub mod pieces;
pub mod result;
