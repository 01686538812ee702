//! The test set-up: this project's broker, a runner as a process of its own, and the test as the controller.

use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use broker::Broker;
use protocol::bus::{BusConfig, CommandSender, EventReceiver, connect_controller};
use protocol::command::{Renew, Run, Stop, StopReason, TrialRef};
use protocol::event::Stage;
use protocol::spec::{
    Deadlines, FakeFailure, FakeSpec, NativeSpec, Place, PlatformSpec, Resources, Sampling, ServiceSource, ServiceSpec,
};
use protocol::{AttemptId, Command, Envelope, Epoch, Event, Name};
pub use testkit::process::is_alive;
use testkit::service::{WEB, script};
use testkit::unique_name;
pub use testkit::wait::eventually as until;
pub use testkit::{free_port, name};
use tokio::time::timeout;

/// A timeout that only a hang exceeds, even on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A broker with topics of its own, and a runner's folder and name.
pub struct Lab {
    broker: Option<Broker>,
    folder: tempfile::TempDir,
    pub bus: BusConfig,
    pub name: Name,
}

/// The test as a controller.
pub struct Controller {
    sender: CommandSender,
    pub events: EventReceiver,
    host: Name,
}

impl Lab {
    /// A lab with a running broker.
    pub async fn new() -> Self {
        let mut lab = Self::without_broker();
        lab.start_broker().await;
        lab
    }

    pub fn without_broker() -> Self {
        Self {
            broker: None,
            folder: tempfile::tempdir().unwrap(),
            bus: BusConfig {
                brokers: format!("127.0.0.1:{}", free_port()),
                ..BusConfig::default()
            },
            name: unique_name(),
        }
    }

    /// Starts the broker, on the same port and files as before.
    pub async fn start_broker(&mut self) {
        let address = self.bus.brokers.parse().unwrap();
        self.broker = Some(testkit::bus::start(address, &self.folder.path().join("broker")).await);
    }

    pub async fn stop_broker(&mut self) {
        self.broker.take().unwrap().stop().await;
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The runner's command line with this lab's settings.
    pub fn command(&self, arguments: &[&str]) -> Process {
        let mut command = Process::new(env!("CARGO_BIN_EXE_runner"));
        command
            .args(arguments)
            .args(["--name", self.name.as_str(), "--brokers", &self.bus.brokers])
            .args(["--workload", "/bin/sh", "--state"])
            .arg(self.state());
        command
    }

    /// Starts the runner.
    pub fn runner(&self) -> Runner {
        self.start(self.command(&[]))
    }

    /// Starts a command that executes the runner.
    pub fn start(&self, mut command: Process) -> Runner {
        let log = self.folder.path().join("runner.log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdin(Stdio::null()).stderr(file).spawn().unwrap();
        Runner { child, log }
    }

    /// A controller of a name and epoch.
    pub async fn controller(&self, controller: &str, epoch: u64) -> Controller {
        let (sender, events) = connect_controller(&self.bus, &name(controller), Epoch(epoch))
            .await
            .unwrap();
        Controller {
            sender,
            events,
            host: self.name.clone(),
        }
    }

    /// A runner that serves, and a controller.
    pub async fn serving(&self) -> (Runner, Controller) {
        let runner = self.runner();
        runner.wait_until_serving(1).await;
        (runner, self.controller("night", 1).await)
    }
}

/// The runner as a process; killed if the test ends early.
pub struct Runner {
    pub child: Child,
    log: PathBuf,
}

impl Runner {
    /// Waits until the log has reported this many times that it serves.
    pub async fn wait_until_serving(&self, times: usize) {
        self.wait_for_log("serving", times).await;
    }

    pub async fn wait_for_log(&self, text: &str, times: usize) {
        until(&format!("{text:?} in the log"), || {
            self.log().matches(text).count() >= times
        })
        .await;
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and returns the exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.exit_code().await
    }

    pub async fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        until("the runner's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

impl Controller {
    pub async fn send(&self, attempt: Option<AttemptId>, command: Command) {
        self.sender.send(&self.host, attempt, command).await.unwrap();
    }

    pub async fn run(&self, attempt: AttemptId, run: &Run) {
        self.send(Some(attempt), Command::Run(Box::new(run.clone()))).await;
    }

    pub async fn stop(&self, attempt: AttemptId) {
        let reason = StopReason::Finished;
        self.send(Some(attempt), Command::Stop(Stop { reason })).await;
    }

    pub async fn renew(&self, attempt: AttemptId) {
        self.send(Some(attempt), Command::Renew(Renew {})).await;
    }

    pub async fn next(&mut self) -> Envelope<Event> {
        timeout(TIMEOUT, self.events.recv())
            .await
            .expect("an event within the timeout")
            .unwrap()
    }

    /// The next event except SAMPLES.
    pub async fn answer(&mut self) -> Event {
        loop {
            let event = self.next().await.body;
            if !matches!(event, Event::Samples(_)) {
                return event;
            }
        }
    }

    /// The names of the next events.
    pub async fn words(&mut self, count: usize) -> Vec<&'static str> {
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(self.answer().await.as_str());
        }
        words
    }

    /// Runs an attempt up to READY.
    pub async fn ready(&mut self, run: &Run) -> (AttemptId, protocol::event::Ready) {
        let attempt = AttemptId::fresh();
        self.run(attempt, run).await;
        assert_eq!(self.words(1).await, ["ACCEPTED"]);
        match self.answer().await {
            Event::Ready(ready) => (attempt, ready),
            other => panic!("not READY: {other:?}"),
        }
    }

    /// The stage and reason of the next event, which is FAILED.
    pub async fn failed(&mut self) -> (Stage, String) {
        match self.answer().await {
            Event::Failed(failed) => (failed.stage, failed.why),
            other => panic!("not FAILED: {other:?}"),
        }
    }
}

/// A service of a script for the workload program, which is a shell here.
pub fn shell(service: &str, text: &str) -> ServiceSpec {
    let (name, workload) = script(service, text);
    ServiceSpec {
        name,
        place: Place::Platform,
        source: ServiceSource::Workload(workload),
    }
}

/// The script of the first service of a RUN.
pub fn script_of(run: &mut Run) -> &mut String {
    match &mut run.services[0].source {
        ServiceSource::Workload(workload) => &mut workload.args[1],
        other => panic!("not a script: {other:?}"),
    }
}

/// The port of the first service of a RUN.
pub fn port_of(run: &Run) -> u16 {
    match &run.services[0].source {
        ServiceSource::Workload(workload) => workload.port.unwrap(),
        other => panic!("not of the workload program: {other:?}"),
    }
}

/// A RUN of one service on a platform.
pub fn run(platform: PlatformSpec) -> Run {
    Run {
        trial: TrialRef {
            experiment: name("night"),
            cell: "x.web.r500".to_owned(),
            block: 1,
            attempt: 1,
        },
        platform,
        services: vec![shell("web", WEB)],
        broker: None,
        seed: None,
        resources: Resources::default(),
        sampling: Sampling {
            interval_ms: 100,
            idle_ms: 50,
        },
        deadlines: Deadlines {
            prepare_ms: 60_000,
            ready_ms: 60_000,
            lease_ms: 120_000,
            seed_ms: 60_000,
            grace_ms: 3000,
        },
    }
}

pub fn native() -> Run {
    run(PlatformSpec::Native(NativeSpec {}))
}

pub fn fake(start_ms: u64, fail: Option<FakeFailure>) -> Run {
    run(PlatformSpec::Fake(FakeSpec { start_ms, fail }))
}

/// The number of attempts in the crash journal.
pub fn journaled(lab: &Lab) -> usize {
    std::fs::read_dir(lab.state().join("ledger")).map_or(0, Iterator::count)
}
