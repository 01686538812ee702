//! OSv as a guest: the kernel is the user's, the disk with the root file system is made here.

pub mod disk;
pub mod program;
pub mod rofs;
