//! OSv guests: the kernel is the user's, the disk with the root file system is written here.

pub mod disk;
pub mod program;
pub mod rofs;
