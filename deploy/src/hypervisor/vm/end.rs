//! How a VM ends, by itself or on request, and what is removed afterwards.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::facts::ImageRecord;
use protocol::spec::Transport;
use protocol::summary::Exit;
use tokio::time::{sleep_until, timeout};

use super::{CONSOLE_TIMEOUT, QUIT_TIMEOUT, Vm};
use crate::deployment::{GuestInfo, Instance, InstanceStopped, PlatformProcess, Started};
use crate::guest::{GuestEnd, Stop, Vmm};
use crate::hypervisor::evidence::{Evidence, stop_reason};
use crate::hypervisor::qmp::QmpEvent;
use crate::hypervisor::virtiofsd::{self, Virtiofsd};
use crate::network::bridge::Tap;
use crate::{Processes, cgroup, cleanup, log, network};

impl Vm {
    /// Waits until the hypervisor ends, the console shows a panic, the machine was stopped, or a virtiofsd ends. Cancel-safe.
    async fn wait_for_end(&mut self) {
        let (mut console, mut events) = (self.console_state.clone(), self.events.clone());
        let panic_deadline = &mut self.panic_deadline;
        let panicked = async {
            if console.wait_for(|state| state.panic.is_some()).await.is_err() {
                std::future::pending::<()>().await;
            }
            // Some guests power themselves off after a panic and print more before.
            sleep_until((*panic_deadline.get_or_insert_with(|| Instant::now() + QUIT_TIMEOUT)).into()).await;
        };
        let reboots = self.vmm == Vmm::CloudHypervisor;
        let over = |events: &Vec<QmpEvent>| stop_reason(events).is_some() || reboots && !events.is_empty();
        let halted = async {
            let is_over = match &mut events {
                Some(events) => events.wait_for(over).await.is_ok(),
                None => false,
            };
            if !is_over {
                std::future::pending::<()>().await;
            }
        };
        let unserved_deadline = &mut self.unserved_deadline;
        let unserved = async {
            let how = virtiofsd::ended(&mut self.shares).await;
            // It also ends, a moment earlier, when QEMU does.
            sleep_until((*unserved_deadline.get_or_insert_with(|| Instant::now() + QUIT_TIMEOUT)).into()).await;
            how
        };
        self.share_failure = tokio::select! {
            _ = self.process.wait() => None,
            () = panicked => None,
            () = halted => None,
            how = unserved => Some(how),
        };
    }

    /// Asks the guest to stop in the way its description wants; `true`: it did.
    async fn request_stop(&mut self, grace: Duration) -> bool {
        let Some(qmp) = &mut self.qmp else {
            let stopped = self.vmm != Vmm::Qemu && self.process.end(grace.max(QUIT_TIMEOUT), Vec::new).await.is_ok();
            self.told_to_quit = stopped && !self.process.was_killed();
            return self.told_to_quit;
        };
        let (requested, wait) = match self.stop_method {
            Stop::Powerdown => (timeout(grace.max(QUIT_TIMEOUT), qmp.powerdown()).await, grace),
            Stop::Quit => (
                timeout(grace.max(QUIT_TIMEOUT), qmp.quit()).await,
                grace.max(QUIT_TIMEOUT),
            ),
        };
        let accepted = matches!(requested, Ok(Ok(())));
        if accepted && timeout(wait, self.process.wait()).await.is_ok() {
            return true;
        }
        if let Ok(Ok(true)) = timeout(QUIT_TIMEOUT, qmp.halted()).await {
            log::append(&self.log, "the guest's CPUs are halted with interrupts disabled");
        }
        if let Ok(Ok(())) = timeout(QUIT_TIMEOUT, qmp.quit()).await {
            let _ = timeout(QUIT_TIMEOUT, self.process.wait()).await;
        }
        false
    }

    /// Determines how the guest ended, and logs it.
    async fn record_end(&mut self, status: Option<ExitStatus>, overdue: bool) {
        let _ = timeout(CONSOLE_TIMEOUT, &mut self.console).await;
        let console = self.console_state.borrow().clone();
        let events = self
            .events
            .as_ref()
            .map(|events| events.borrow().clone())
            .unwrap_or_default();
        let told_to_quit = self.told_to_quit
            || events
                .iter()
                .any(|event| event.reason.as_deref() == Some("host-qmp-quit"));
        let share_failure = self.share_failure.take();
        let share_failure = share_failure.or_else(|| self.shares.iter_mut().find_map(Virtiofsd::failure));
        let end = Evidence {
            share_failure,
            status,
            console: &console,
            events: &events,
            overdue,
            quit: told_to_quit && self.stop_method == Stop::Quit,
            oom: self.cgroup.as_ref().is_some_and(|cgroup| cgroup.oom_kills() > 0),
        }
        .conclude();
        log::append(&self.log, &end.to_string());
        self.end = Some(end);
    }

    fn exit(&self) -> Exit {
        self.end.as_ref().map_or(Exit::Unknown, GuestEnd::exit)
    }

    /// Removes what belongs to it. Returns what could not be removed.
    async fn clean_up(&mut self) -> Vec<String> {
        let mut left = cleanup::kill_service(&self.mark, self.process.pid(), self.cgroup.as_ref()).await;
        if let Some(cgroup) = self.cgroup.take() {
            left.extend(cleanup::remove_cgroup(cgroup).await);
        }
        if let Some(tap) = self.tap.take() {
            let removed = tokio::task::spawn_blocking(move || tap.remove()).await;
            left.extend(removed.unwrap_or_default());
        }
        left.extend(self.files.remove());
        let taken = |&address: &SocketAddr| {
            [Transport::Tcp, Transport::Udp]
                .iter()
                .any(|&transport| network::is_taken(transport, address))
        };
        if let Some(forward) = self.forward.filter(taken) {
            left.push(format!("port {forward} of {}", self.mark.service));
        }
        left
    }
}

impl Instance for Vm {
    /// With the PID of the hypervisor.
    fn started(&self, called: Instant) -> Started {
        Started {
            service: self.mark.service.clone(),
            endpoint: self.endpoint,
            process_after: self.exists_since.saturating_duration_since(called),
            pid: self.process.pid(),
        }
    }

    fn processes(&self) -> Processes {
        cgroup::processes(self.cgroup.as_ref(), self.process.pid())
    }

    /// When the first byte of the console arrived.
    fn first_output(&self) -> Option<Instant> {
        self.console_state.borrow().first_byte
    }

    fn image(&self) -> Option<ImageRecord> {
        self.record.clone()
    }

    fn deviations(&self) -> &[String] {
        &self.deviations
    }

    /// The virtiofsd processes that serve it.
    fn platform_processes(&self) -> Vec<PlatformProcess> {
        let processes = |virtiofsd: &Virtiofsd| virtiofsd.processes(&self.mark.service);
        self.shares.iter().flat_map(processes).collect()
    }

    fn guest(&self) -> Option<GuestInfo> {
        Some(GuestInfo {
            vcpus: self.vcpus.iter().map(|vcpu| vcpu.thread).collect(),
            memory_bytes: self.memory_bytes,
        })
    }

    fn guest_end(&self) -> Option<&GuestEnd> {
        self.end.as_ref()
    }

    fn interface(&self) -> Option<String> {
        self.tap.as_ref().map(Tap::name)
    }

    fn ended(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            if self.end.is_none() {
                self.wait_for_end().await;
                let status = self.process.end(Duration::ZERO, Vec::new).await.ok();
                self.record_end(status, false).await;
            }
            self.exit()
        })
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, InstanceStopped> {
        Box::pin(async move {
            if self.end.is_none() {
                let in_time = self.request_stop(grace).await;
                let status = self.process.end(Duration::ZERO, Vec::new).await.ok();
                self.record_end(status, !in_time).await;
            }
            let mut sizes = std::mem::take(&mut self.sizes);
            sizes.extend(self.files.written());
            let leftovers = self.clean_up().await;
            self.stopped = true;
            InstanceStopped {
                exit: self.exit(),
                leftovers,
                sizes,
            }
        })
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.console.abort();
        if !self.stopped {
            cleanup::kill_service_detached(&self.mark, self.process.pid(), self.cgroup.take());
        }
    }
}
