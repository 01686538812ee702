//! A deployment of guests, alive.

use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::summary::Exit;

use super::end::End;
use super::rest::GuestMeter;
use super::vm::Vm;
use crate::accounts::{GuestAccount, Part};
use crate::member::{Member as _, Members};
use crate::meter::Meter;
use crate::{Processes, Running, Started, Stopped};

/// A deployment of guests. Dropping it kills them.
#[derive(Debug)]
pub struct QemuRunning {
    vms: Members<Vm>,
    deviations: Vec<String>,
}

impl QemuRunning {
    pub(super) const fn new(from: Instant, grace: Duration, deviations: Vec<String>) -> Self {
        Self {
            vms: Members::new(from, grace),
            deviations,
        }
    }

    pub(super) fn push(&mut self, vm: Vm) {
        self.vms.push(vm);
    }

    pub(super) fn vms(&mut self) -> impl Iterator<Item = &mut Vm> {
        self.vms.iter_mut()
    }

    /// The threads of the host that execute a guest's virtual CPUs: the part of QEMU that is the service, the rest is its platform.
    #[must_use]
    pub fn vcpu_threads(&self, service: &Name) -> Vec<u32> {
        let vcpus = self.vms.of(service).map(Vm::vcpus).unwrap_or_default();
        vcpus.iter().map(|vcpu| vcpu.thread).collect()
    }

    /// How a guest ended, once [`Running::ended`] has told that it did.
    #[must_use]
    pub fn end(&self, service: &Name) -> Option<&End> {
        self.vms.of(service)?.end()
    }
}

impl Running for QemuRunning {
    fn services(&self) -> &[Started] {
        self.vms.started()
    }

    fn processes(&self, service: &Name) -> Processes {
        self.vms.processes(service)
    }

    fn first_output(&self, service: &Name) -> Option<Duration> {
        self.vms.first_output(service)
    }

    fn parts(&self) -> Vec<Part> {
        self.vms.iter().flat_map(Vm::parts).collect()
    }

    fn guest(&self, service: &Name) -> Option<GuestAccount> {
        let vm = self.vms.of(service)?;
        Some(GuestAccount {
            vcpus: self.vcpu_threads(service),
            memory_bytes: vm.memory_bytes(),
        })
    }

    fn interface(&self, service: &Name) -> Option<String> {
        self.vms.of(service)?.interface()
    }

    fn meter(&self) -> Option<Meter> {
        let told = |vm: &Vm| Some((vm.service().clone(), vm.rest()?));
        let guests: Vec<_> = self.vms.iter().filter_map(told).collect();
        (!guests.is_empty()).then(|| Meter::Guests(GuestMeter::new(guests)))
    }

    fn deviations(&self) -> Vec<String> {
        let mut all = self.deviations.clone();
        all.extend(self.vms.deviations());
        all
    }

    async fn ended(&mut self) -> (Name, Exit) {
        self.vms.ended().await
    }

    async fn stop(mut self) -> Stopped {
        self.vms.stop().await
    }
}
