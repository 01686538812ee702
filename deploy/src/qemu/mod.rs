
pub mod args;
pub mod console;
mod driver;
mod end;
mod image;
pub mod micro;
mod own;
mod plan;
mod prepare;
mod probe;
mod proof;
pub mod qmp;
mod rest;
mod running;
mod share;
mod socket;
mod ssh;
mod vm;

pub use driver::Qemu;
pub use end::End;
pub use rest::GuestMeter;
pub use running::QemuRunning;
