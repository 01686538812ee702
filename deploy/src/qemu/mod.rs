//! Guests under QEMU: one QEMU process a service.

pub mod args;
pub mod console;
pub mod qmp;
