//! Loads and outcomes as they go over the wire, and back.
//!
//! * [`order`] — a load and what it goes to; [`result`] — what came of it; [`pieces`] — what is too long for one message.

pub mod order;
pub mod pieces;
pub mod result;
