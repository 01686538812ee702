//! What the things of the benchmark are called, so that who fills and who loads mean the same.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The name of a user, from 0.
#[must_use]
pub fn user(number: u32) -> String {
    format!("user-{number}")
}

/// His password.
#[must_use]
pub fn password(number: u32) -> String {
    format!("secret-{number}")
}

/// The value of the header `Authorization` by which he proves who he is.
#[must_use]
pub fn credentials(number: u32) -> String {
    basic(&user(number), &password(number))
}

/// A name and a password as HTTP's Basic scheme writes them.
#[must_use]
pub fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

/// The name of a device of a user, from 0.
#[must_use]
pub fn device(user: u32, number: u32) -> String {
    format!("device-{user}-{number}")
}

/// The state that all devices start with, and that the rules want them to have.
pub const WANTED: f64 = 20.0;
