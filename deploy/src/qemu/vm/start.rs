//! What a guest is started with.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use protocol::size::Size;
use protocol::spec::Resources;

use crate::cgroup::Layout;
use crate::guest::{Share, Stop};
use crate::mark::Mark;
use crate::network::bridge::Tap;
use crate::qemu::args::VmSpec;
use crate::qemu::console::Watch;
use crate::qemu::own::Own;
use crate::qemu::share::{Order, Served};
use crate::{DeployError, limits};

/// The programs that a guest is made of.
#[derive(Clone, Copy, Debug)]
pub(in crate::qemu) struct Programs<'a> {
    /// What runs it.
    pub(in crate::qemu) vmm: &'a Path,
    /// What serves it directories; there if it has shares.
    pub(in crate::qemu) virtiofsd: Option<&'a Path>,
}

/// What a guest is started with, and owns from then on.
#[derive(Debug)]
pub(in crate::qemu) struct Start<'a> {
    /// What is started.
    pub(in crate::qemu) programs: Programs<'a>,
    /// Whose it is.
    pub(in crate::qemu) mark: Mark,
    /// What QEMU is to start; the sockets are filled in here.
    pub(in crate::qemu) spec: VmSpec,
    /// The directories that are served to it.
    pub(in crate::qemu) shares: Vec<Share>,
    /// The runner's state directory.
    pub(in crate::qemu) state: &'a Path,
    /// The lines of the console that mean something.
    pub(in crate::qemu) watch: Watch,
    /// How it is asked to end.
    pub(in crate::qemu) stop: Stop,
    /// Where cgroups are.
    pub(in crate::qemu) layout: Option<&'a Layout>,
    /// The limits of QEMU as a process: the memory is the guest's own and not among them.
    pub(in crate::qemu) resources: Resources,
    /// The file that gets QEMU's messages and the console.
    pub(in crate::qemu) log: PathBuf,
    /// Where the service answers, if anywhere.
    pub(in crate::qemu) endpoint: Option<SocketAddr>,
    /// The port of this host that is forwarded.
    pub(in crate::qemu) forward: Option<SocketAddr>,
    /// Where it can be logged in to, if it lets anybody in.
    pub(in crate::qemu) ssh: Option<SocketAddr>,
    /// Where its system tells of itself, if it does.
    pub(in crate::qemu) rest: Option<SocketAddr>,
    /// Its tap.
    pub(in crate::qemu) tap: Option<Tap>,
    /// What it boots from, by size.
    pub(in crate::qemu) sizes: Vec<Size>,
    /// The files that it has for itself.
    pub(in crate::qemu) own: Own,
}

impl Start<'_> {
    /// Starts what serves a guest its directories; each with QEMU's connection to it.
    pub(super) fn serve(&self) -> Result<(Vec<Served>, Vec<OwnedFd>), DeployError> {
        let Some(program) = self.programs.virtiofsd else {
            return Ok((Vec::new(), Vec::new()));
        };
        let order = Order {
            program,
            mark: &self.mark,
            state: self.state,
            log: &self.log,
            affinity: self.resources.cpuset.as_ref().and_then(limits::affinity),
            mems: self.resources.mems.as_ref().map(limits::nodemask),
        };
        let served: Result<Vec<_>, _> = self.shares.iter().map(|share| Served::start(&order, share)).collect();
        Ok(served?.into_iter().unzip())
    }
}
