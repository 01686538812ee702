
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

/// The programs that a guest needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::qemu) struct Programs<'a> {
    /// The hypervisor.
    pub(in crate::qemu) vmm: &'a Path,
    /// virtiofsd, if the guest has shares.
    pub(in crate::qemu) virtiofsd: Option<&'a Path>,
}

/// What a VM is started with, and owns from then on.
#[derive(Debug)]
pub(in crate::qemu) struct Start<'a> {
    /// The programs.
    pub(in crate::qemu) programs: Programs<'a>,
    /// Its mark.
    pub(in crate::qemu) mark: Mark,
    /// Its specification; the channels are filled in when it starts.
    pub(in crate::qemu) spec: VmSpec,
    /// The directories that are shared with it.
    pub(in crate::qemu) shares: Vec<Share>,
    /// The runner's state directory.
    pub(in crate::qemu) state: &'a Path,
    /// The console lines that matter.
    pub(in crate::qemu) watch: Watch,
    /// How it is asked to stop.
    pub(in crate::qemu) stop: Stop,
    /// The host's cgroup layout.
    pub(in crate::qemu) layout: Option<&'a Layout>,
    /// Limits of the hypervisor process. Memory is limited by the VM's own size instead.
    pub(in crate::qemu) resources: Resources,
    /// The log of the hypervisor's messages and the console.
    pub(in crate::qemu) log: PathBuf,
    /// The service's endpoint, if it listens.
    pub(in crate::qemu) endpoint: Option<SocketAddr>,
    /// The port of this host that is forwarded to it.
    pub(in crate::qemu) forward: Option<SocketAddr>,
    /// The address of its SSH server, if the runner logs in.
    pub(in crate::qemu) ssh: Option<SocketAddr>,
    /// The address of OSv's REST API, if it has one.
    pub(in crate::qemu) rest: Option<SocketAddr>,
    /// Its tap.
    pub(in crate::qemu) tap: Option<Tap>,
    /// The sizes of what it boots from.
    pub(in crate::qemu) sizes: Vec<Size>,
    /// Its files.
    pub(in crate::qemu) own: Own,
}

impl Start<'_> {
    /// Starts a virtiofsd for each share; returns them with QEMU's connections to them.
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
