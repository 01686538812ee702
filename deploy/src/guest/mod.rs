//! Guests as data: what differs between OSv, IncludeOS, Linux and the unikernel of tomorrow is a description, not code.
//!
//! A description is a TOML file of the runner's host, `<state>/guests/<name>.toml`. It says what QEMU boots, with which arguments, and by which
//! lines of the console a guest is known to be up, to have panicked or to have left. It may begin with `preset = "osv"`, `"includeos"`,
//! `"linux"` or `"cloud"` and then needs to say only what the host alone knows: the path of a kernel. The presets are such files themselves
//! (`deploy/osv/guest.toml` and its kin).
//!
//! [`raw`] is what a file may hold, [`Guest::check`] makes a [`Guest`] of it or says everything that is wrong, [`template`] fills in addresses, and
//! [`osv`] and [`linux`] write the images that are ours to write,
//! and [`multiboot`] wraps kernels as QEMU takes them.

mod check;
mod description;
pub mod directory;
pub mod linux;
pub mod multiboot;
pub mod osv;
mod preset;
mod raw;
pub mod template;
pub mod tree;
mod vmm;

pub(crate) use check::ROOT;
pub use check::{Problem, Problems};
pub use description::{
    CloudImage, CloudStart, Disk, DiskFormat, Guest, Image, InitramfsImage, Machine, Nic, RofsImage, Share, Stop,
    VirtiofsImage,
};
pub use raw::{RawDisk, RawGuest, RawShare};
pub use vmm::Vmm;
