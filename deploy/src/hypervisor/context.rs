//! What a driver of guests was created with.

use std::path::PathBuf;

use protocol::spec::{GuestSpec, PlatformKind};

use crate::cgroup::Layout;
use crate::{DeployError, Host};

/// What a driver of guests was created with.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) host: Host,
    pub(super) kind: PlatformKind,
    /// `None`: the driver can only sweep.
    pub(super) spec: Option<GuestSpec>,
    pub(super) layout: Option<Layout>,
}

impl Context {
    /// The file that describes a guest.
    pub(super) fn description(&self, spec: &GuestSpec) -> PathBuf {
        self.host.state.join(format!("guests/{}.toml", spec.guest))
    }

    pub(super) fn spec(&self) -> Result<&GuestSpec, DeployError> {
        self.spec.as_ref().ok_or_else(|| DeployError::Unmet {
            need: "the platform names no guest".into(),
            remedy: "set `guest` in the platform's table".into(),
        })
    }
}
