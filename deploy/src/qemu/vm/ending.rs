//! How a VM ends, by itself or on request, and what is removed afterwards.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use protocol::ids::Name;
use protocol::spec::Transport;
use protocol::summary::Exit;
use tokio::time::{sleep_until, timeout};

use super::{LAST_WORDS, QUIT, Vm};
use crate::guest::{Stop, Vmm};
use crate::member::{Gone, Member};
use crate::native::unit;
use crate::qemu::end::{self, End, Evidence};
use crate::qemu::qmp::QmpEvent;
use crate::qemu::share::{self, Served};
use crate::{Processes, log, network, process};

impl Vm {
    /// Waits until the hypervisor ends, the console shows a panic, the machine was stopped, or a virtiofsd ends. Cancel-safe.
    async fn fail(&mut self) {
        let (mut seen, mut events) = (self.seen.clone(), self.events.clone());
        let doomed = &mut self.doomed;
        let panicked = async {
            if seen.wait_for(|seen| seen.panic.is_some()).await.is_err() {
                std::future::pending::<()>().await;
            }
            // Some guests power themselves off after a panic and print more before.
            sleep_until((*doomed.get_or_insert_with(|| Instant::now() + QUIT)).into()).await;
        };
        let again = self.vmm == Vmm::CloudHypervisor;
        let over = |events: &Vec<QmpEvent>| end::stopped(events).is_some() || again && !events.is_empty();
        let halted = async {
            let known = match &mut events {
                Some(events) => events.wait_for(over).await.is_ok(),
                None => false,
            };
            if !known {
                std::future::pending::<()>().await;
            }
        };
        let bereft = &mut self.bereft;
        let unserved = async {
            let how = share::ended(&mut self.shares).await;
            // It also ends, a moment earlier, when QEMU does.
            sleep_until((*bereft.get_or_insert_with(|| Instant::now() + QUIT)).into()).await;
            how
        };
        self.lost = tokio::select! {
            _ = self.process.wait() => None,
            () = panicked => None,
            () = halted => None,
            how = unserved => Some(how),
        };
    }

    /// Asks the guest to stop in the way its description wants; `true`: it did.
    async fn ask_to_end(&mut self, grace: Duration) -> bool {
        let Some(qmp) = &mut self.qmp else {
            let told = self.vmm != Vmm::Qemu && self.process.end(grace.max(QUIT), Vec::new).await.is_ok();
            self.told_to_quit = told && !self.process.was_killed();
            return self.told_to_quit;
        };
        let (asked, patience) = match self.how_to_stop {
            Stop::Powerdown => (timeout(grace.max(QUIT), qmp.powerdown()).await, grace),
            Stop::Quit => (timeout(grace.max(QUIT), qmp.quit()).await, grace.max(QUIT)),
        };
        let asked = matches!(asked, Ok(Ok(())));
        if asked && timeout(patience, self.process.wait()).await.is_ok() {
            return true;
        }
        if let Ok(Ok(true)) = timeout(QUIT, qmp.halted()).await {
            log::append(&self.log, "the guest's CPUs are halted with interrupts disabled");
        }
        if let Ok(Ok(())) = timeout(QUIT, qmp.quit()).await {
            let _ = timeout(QUIT, self.process.wait()).await;
        }
        false
    }

    /// Determines how the guest ended, and logs it.
    async fn conclude(&mut self, status: Option<ExitStatus>, overdue: bool) {
        let _ = timeout(LAST_WORDS, &mut self.console).await;
        let seen = self.seen.borrow().clone();
        let events = self
            .events
            .as_ref()
            .map(|events| events.borrow().clone())
            .unwrap_or_default();
        let told_to_quit = self.told_to_quit
            || events
                .iter()
                .any(|event| event.reason.as_deref() == Some("host-qmp-quit"));
        let lost = self.lost.take();
        let lost = lost.or_else(|| self.shares.iter_mut().find_map(Served::failure));
        let end = End::of(&Evidence {
            lost,
            status,
            seen: &seen,
            events: &events,
            overdue,
            quit: told_to_quit && self.how_to_stop == Stop::Quit,
            oom: self.cgroup.as_ref().is_some_and(|cgroup| cgroup.oom_kills() > 0),
        });
        log::say(&self.log, &end.to_string());
        self.end = Some(end);
    }

    /// Removes what belongs to it. Returns what could not be removed.
    async fn leave(&mut self) -> Vec<String> {
        process::kill_all(|| self.members()).await;
        let service = &self.mark.service;
        let mut left: Vec<String> = self
            .members()
            .iter()
            .map(|pid| format!("pid {pid} of {service}"))
            .collect();
        if let Some(cgroup) = self.cgroup.take() {
            left.extend(unit::remove(cgroup).await);
        }
        if let Some(tap) = self.tap.take() {
            let removed = tokio::task::spawn_blocking(move || tap.remove()).await;
            left.extend(removed.unwrap_or_default());
        }
        left.extend(self.own.remove());
        let taken = |&address: &SocketAddr| {
            [Transport::Tcp, Transport::Udp]
                .iter()
                .any(|&transport| network::is_taken(transport, address))
        };
        if let Some(forward) = self.forward.filter(taken) {
            left.push(format!("port {forward} of {service}"));
        }
        left
    }
}

impl Member for Vm {
    fn service(&self) -> &Name {
        &self.mark.service
    }

    fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint
    }

    /// The hypervisor's process.
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn exists_since(&self) -> Instant {
        self.exists_since
    }

    /// The processes of its cgroup, or else the tree below the hypervisor.
    fn processes(&self) -> Processes {
        match &self.cgroup {
            Some(cgroup) => cgroup.processes(self.pid()),
            None => Processes::Tree(self.pid()),
        }
    }

    /// When the first byte of the console arrived.
    fn first_output(&self) -> Option<Instant> {
        self.seen.borrow().first_byte
    }

    fn deviations(&self) -> &[String] {
        &self.deviations
    }

    fn is_reported(&self) -> bool {
        self.reported
    }

    async fn ended(&mut self) -> (Name, Exit) {
        if self.end.is_none() {
            self.fail().await;
            let status = self.process.end(Duration::ZERO, Vec::new).await.ok();
            self.conclude(status, false).await;
        }
        self.reported = true;
        (
            self.mark.service.clone(),
            self.end.as_ref().map_or(Exit::Unknown, End::exit),
        )
    }

    async fn stop(&mut self, grace: Duration) -> Gone {
        if self.end.is_none() {
            let in_time = self.ask_to_end(grace).await;
            let status = self.process.end(Duration::ZERO, Vec::new).await.ok();
            self.conclude(status, !in_time).await;
        }
        let mut sizes = std::mem::take(&mut self.sizes);
        sizes.extend(self.own.written());
        let left = self.leave().await;
        self.stopped = true;
        Gone {
            exit: self.end.as_ref().map_or(Exit::Unknown, End::exit),
            left,
            sizes,
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.console.abort();
        if self.stopped {
            return;
        }
        unit::members(&self.mark, self.pid(), self.cgroup.as_ref())
            .into_iter()
            .for_each(process::kill);
        if let Some(cgroup) = self.cgroup.take() {
            // The killed processes take a moment to leave the cgroup, and a destructor must not wait for them.
            std::thread::spawn(move || cgroup.remove(LAST_WORDS));
        }
    }
}
