//! A deployment of guests, alive.

use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::summary::Exit;

use super::end::End;
use super::rest::GuestMeter;
use super::vm::Vm;
use crate::accounts::GuestAccount;
use crate::member::{self, Member as _};
use crate::meter::Meter;
use crate::{Running, Started, Stopped};

/// A deployment of guests. Dropping it kills them.
#[derive(Debug)]
pub struct QemuRunning {
    from: Instant,
    vms: Vec<Vm>,
    started: Vec<Started>,
    deviations: Vec<String>,
    grace: Duration,
}

impl QemuRunning {
    pub(super) const fn new(from: Instant, grace: Duration, deviations: Vec<String>) -> Self {
        Self {
            from,
            vms: Vec::new(),
            started: Vec::new(),
            deviations,
            grace,
        }
    }

    pub(super) fn push(&mut self, vm: Vm, process_after: Duration) {
        self.started.push(Started {
            service: vm.service().clone(),
            endpoint: vm.endpoint(),
            process_after,
            pid: vm.pid(),
        });
        self.vms.push(vm);
    }

    pub(super) fn vms(&mut self) -> impl Iterator<Item = &mut Vm> {
        self.vms.iter_mut()
    }

    /// The threads of the host that execute a guest's virtual CPUs: the part of QEMU that is the service, the rest is its platform.
    #[must_use]
    pub fn vcpu_threads(&self, service: &Name) -> Vec<u32> {
        let vcpus = self.vm(service).map(Vm::vcpus).unwrap_or_default();
        vcpus.iter().map(|vcpu| vcpu.thread).collect()
    }

    /// How a guest ended, once [`Running::ended`] has told that it did.
    #[must_use]
    pub fn end(&self, service: &Name) -> Option<&End> {
        self.vm(service)?.end()
    }

    fn vm(&self, service: &Name) -> Option<&Vm> {
        self.vms.iter().find(|vm| vm.service() == service)
    }
}

impl Running for QemuRunning {
    fn services(&self) -> &[Started] {
        &self.started
    }

    fn pids(&self, service: &Name) -> Vec<u32> {
        self.vm(service).map(Vm::pids).unwrap_or_default()
    }

    fn first_output(&self, service: &Name) -> Option<Duration> {
        let at = self.vm(service)?.first_byte()?;
        Some(at.saturating_duration_since(self.from))
    }

    fn guest(&self, service: &Name) -> Option<GuestAccount> {
        let vm = self.vm(service)?;
        Some(GuestAccount {
            vcpus: self.vcpu_threads(service),
            memory_bytes: vm.memory_bytes(),
        })
    }

    fn interface(&self, service: &Name) -> Option<String> {
        self.vm(service)?.interface()
    }

    fn meter(&self) -> Option<Meter> {
        let told = |vm: &Vm| Some((vm.service().clone(), vm.rest()?));
        let guests: Vec<_> = self.vms.iter().filter_map(told).collect();
        (!guests.is_empty()).then(|| Meter::Guests(GuestMeter::new(guests)))
    }

    fn deviations(&self) -> Vec<String> {
        let mut all = self.deviations.clone();
        for deviation in self.vms.iter().flat_map(Vm::deviations) {
            if !all.contains(deviation) {
                all.push(deviation.clone());
            }
        }
        all
    }

    async fn ended(&mut self) -> (Name, Exit) {
        member::ended(&mut self.vms).await
    }

    async fn stop(mut self) -> Stopped {
        member::stop(&mut self.vms, self.grace).await
    }
}
