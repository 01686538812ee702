//! Verifies KVM by booting a guest with it, as seen on its console and confirmed by QEMU's monitor.
//!
//! That `/dev/kvm` exists or can be opened says little: with broken nested virtualization a guest hangs or crashes. So the guest that is to be measured is
//! booted once on a network that nothing reaches. The verdict is cached for the life of this process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use protocol::ids::AttemptId;
use protocol::spec::Resources;

use super::context::Context;
use super::plan::{NetConfig, Plan};
use super::prepared::Prepared;
use super::spec::Accelerator;
use super::vm::{Start, Vm};
use crate::deployment::Instance as _;
use crate::mark::Mark;
use crate::{DeployError, DeploymentSpec, log};

/// How long a guest may take to boot with KVM; a second is usual.
const BOOT_TIMEOUT: Duration = Duration::from_secs(20);

/// Verdicts by description, kernel and number of virtual CPUs.
static VERDICTS: LazyLock<Mutex<HashMap<Key, Verdict>>> = LazyLock::new(Mutex::default);

type Key = (PathBuf, Option<PathBuf>, u32);

/// Whether a guest boots with KVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does.
    Works,
    /// It does not, for this reason.
    Fails(String),
}

/// Verifies KVM, or returns the cached verdict.
pub(super) async fn verify(
    context: &Context,
    deployment: &DeploymentSpec,
    prepared: &Prepared,
) -> Result<Verdict, DeployError> {
    let key = (
        context.description(context.spec()?),
        prepared.guest.kernel.clone(),
        prepared.vcpus,
    );
    let known = verdicts().get(&key).cloned();
    if let Some(verdict) = known {
        return Ok(verdict);
    }
    let verdict = if std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        Verdict::Fails("/dev/kvm cannot be opened".into())
    } else {
        boot(context, deployment, prepared).await?
    };
    verdicts().insert(key, verdict.clone());
    Ok(verdict)
}

fn verdicts() -> std::sync::MutexGuard<'static, HashMap<Key, Verdict>> {
    VERDICTS.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn boot(context: &Context, deployment: &DeploymentSpec, prepared: &Prepared) -> Result<Verdict, DeployError> {
    let Some(service) = deployment.services.first() else {
        return Ok(Verdict::Fails(
            "the deployment has no service to boot a guest for".into(),
        ));
    };
    let overlays = prepared
        .create_overlays(&context.host.state, deployment.attempt, service)
        .await?;
    let (net, attempt) = (NetConfig::with_forwards(Vec::new()), AttemptId::fresh());
    let plan = Plan {
        accelerator: Accelerator::Kvm,
        ..prepared.plan(&service.name)
    };
    let files = plan
        .files(&context.host.state, attempt, service, &net, overlays)
        .await?;
    let log = deployment.logs.join(format!("{}.kvm.log", service.name));
    let mut vm = Vm::start(Start {
        programs: prepared.programs(),
        mark: Mark {
            runner: context.host.runner.clone(),
            attempt,
            service: service.name.clone(),
        },
        spec: plan.vm(service, &net, &files)?,
        shares: plan.shares(),
        state: &context.host.state,
        patterns: prepared.patterns(),
        stop_method: prepared.guest.stop,
        layout: context.layout.as_ref(),
        resources: Resources::default(),
        log: log.clone(),
        endpoint: net.endpoint,
        forward: None,
        ssh: None,
        osv_api: None,
        tap: None,
        sizes: Vec::new(),
        record: None,
        files,
    })?;
    let verdict = observe(&mut vm, &log).await;
    vm.stop(Duration::ZERO).await;
    Ok(verdict)
}

async fn observe(vm: &mut Vm, log: &std::path::Path) -> Verdict {
    if let Err(error) = vm.handshake().await {
        return Verdict::Fails(error.to_string());
    }
    let mut console = vm.console();
    let up = async { console.wait_for(|state| state.ready.is_some()).await.is_ok() };
    let is_up = tokio::select! {
        up = tokio::time::timeout(BOOT_TIMEOUT, up) => up.unwrap_or(false),
        _ = vm.ended() => false,
    };
    match (is_up, vm.guest_end()) {
        (true, _) => Verdict::Works,
        (false, Some(end)) => Verdict::Fails(end.to_string()),
        (false, None) => Verdict::Fails(format!(
            "the guest did not boot within {} s: {}",
            BOOT_TIMEOUT.as_secs(),
            log::tail(log)
        )),
    }
}
