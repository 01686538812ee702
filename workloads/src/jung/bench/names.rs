//! What the things of the benchmark are called, so that who fills and who loads mean the same.

/// The name of a user, from 0.
pub fn user(number: u32) -> String {
    format!("user-{number}")
}

/// His password.
pub fn password(number: u32) -> String {
    format!("secret-{number}")
}

/// The name of a device of a user, from 0.
pub fn device(user: u32, number: u32) -> String {
    format!("device-{user}-{number}")
}

/// The state that all devices start with, and that the rules want them to have.
pub const WANTED: f64 = 20.0;
