//! `[[platform]]`.

use protocol::ids::Name;
use protocol::spec::{FakeFailure, FakeSpec, LxcSpec, NativeSpec, PlatformKind, PlatformSpec};

use super::at::{self, At, Unique};
use super::container;
use super::guest;
use super::value;
use crate::config::Platform;
use crate::config::problem::Problem;
use crate::config::raw::{RawExperiment, RawPlatform};

/// Checks every `[[platform]]`; `None` has left a problem.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Platform>> {
    let none = ("[[platform]]", "add [[platform]] and kind = \"native\" below it");
    at::each(&raw.platforms, &raw.file, none, problems, one)
}

/// The name a platform has or would have by its kind, as far as that can be said.
pub(super) fn name_of(raw: &RawPlatform) -> Option<Name> {
    raw.name.value().or_else(|| raw.kind.value())?.parse().ok()
}

fn one(raw: &RawPlatform, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Platform> {
    let kinds = PlatformKind::ALL.map(|kind| (kind.as_str(), kind));
    let mut at = At::new(&raw.section, problems);
    let kind = at.required(&raw.kind, "kind = \"native\"", value::choice(&kinds));
    let name = at.name_or_kind(&raw.name, &raw.kind, taken);
    let optional = at.or(&raw.optional, false, value::any);
    let kind = kind?;
    foreign(raw, kind, &mut at);
    let spec = match kind {
        PlatformKind::Native => Some(PlatformSpec::Native(NativeSpec {})),
        PlatformKind::Docker => container::check(raw, &mut at).map(PlatformSpec::Docker),
        PlatformKind::Lxc => Some(PlatformSpec::Lxc(LxcSpec {})),
        PlatformKind::Osv => guest::check(raw, kind, &mut at).map(PlatformSpec::Osv),
        PlatformKind::Includeos => guest::check(raw, kind, &mut at).map(PlatformSpec::Includeos),
        PlatformKind::LinuxVm => guest::check(raw, kind, &mut at).map(PlatformSpec::LinuxVm),
        PlatformKind::Guest => guest::check(raw, kind, &mut at).map(PlatformSpec::Guest),
        PlatformKind::Fake => fake(raw, &mut at).map(PlatformSpec::Fake),
    };
    Some(Platform {
        name: name?,
        spec: spec?,
        optional: optional?,
    })
}

/// Keys of another kind.
fn foreign(raw: &RawPlatform, kind: PlatformKind, at: &mut At<'_>) {
    if kind != PlatformKind::Docker {
        container::foreign(raw, at);
    }
    if !guest::is_guest(kind) {
        guest::foreign(raw, at);
    }
    if kind != PlatformKind::Docker && !guest::is_guest(kind) {
        let what = "this key is for kind = \"docker\" and for guests";
        at.foreign(&raw.network, what, "leave it out here");
    }
    if kind != PlatformKind::Fake {
        let what = "this key is for kind = \"fake\"";
        at.foreign(&raw.start_ms, what, "leave it out here");
        at.foreign(&raw.fail, what, "leave it out here");
    }
}

fn fake(raw: &RawPlatform, at: &mut At<'_>) -> Option<FakeSpec> {
    let failures = [
        ("probe", FakeFailure::Probe),
        ("prepare", FakeFailure::Prepare),
        ("start", FakeFailure::Start),
        ("ready", FakeFailure::Ready),
        ("exit", FakeFailure::Exit),
        ("teardown", FakeFailure::Teardown),
    ];
    let start_ms = at.or(&raw.start_ms, 0, value::whole("a start", 0..=3_600_000, 10));
    let fail = at.optional(&raw.fail, value::choice(&failures));
    Some(FakeSpec {
        start_ms: start_ms?,
        fail: fail?,
    })
}
