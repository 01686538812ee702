//! Ctrl-C and deadlines in every phase of a run, against a runner and a loader of the test's own over Jung's broker. What follows is observed by the
//! order of messages, not by time: the wait that is interrupted is longer than the test's timeout, or it repeats a message every second.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use analysis::store::{AttemptKey, CellKey, Source, TrialKey};
use controller::campaign::{self, CampaignError, Finished, Options};
use controller::config::{Experiment, Overrides, parse};
use controller::fleet::Fleet;
use controller::peer::link::links;
use controller::plan::Plan;
use controller::progress::{Progress, TrialLabel};
use controller::trial::attempt::{AttemptOutcome, run_attempt};
use controller::trial::spec::AttemptSpec;
use protocol::bus::{CommandReceiver, EventSender, Reply, connect_controller, connect_runner};
use protocol::command::{Run, StopReason};
use protocol::event::{Accepted, Endpoint, Failed, Pong, Ready, Stage};
use protocol::load::Prepared;
use protocol::spec::ServiceSource;
use protocol::summary::{Summary, Teardown};
use protocol::{Command, Envelope, Epoch, Event};
use testkit::bus::TestBroker;
use testkit::name;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(60);

/// One attempt to connect.
const ONCE: Option<Duration> = Some(Duration::ZERO);

/// How many messages may follow an interruption before the reaction: one that was in transit, and one that is repeated every second.
const FEW: usize = 2;

/// The phase of an attempt in which the user ends the run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum During {
    RunRequest,
    Deployment,
    ReachabilityCheck,
    TlsHandshake,
    FirstPing,
    LoaderPreparation,
    LoaderRun,
    WarmUp,
    Window,
    LoadProgram,
    TaskRun,
    Readback,
    LastPings,
    Stop,
    Samples,
}

impl During {
    /// An experiment whose attempt reaches the phase and does not leave it within the test's timeout.
    fn experiment(self) -> Experiment {
        let workload = match self {
            Self::ReachabilityCheck => "kind = 'udp'",
            Self::Readback => "kind = 'jung'",
            Self::TaskRun => "kind = 'task'\nname = 't'\n[workload.native]\nprogram = 'true'",
            _ => "kind = 'tcp'",
        };
        let load = match self {
            Self::TaskRun => "",
            Self::ReachabilityCheck => "[[load]]\nkind = 'udp'\npackets = 1000\nwindow = 64\nname = 'l'",
            Self::TlsHandshake => {
                "[[load]]\nkind = 'rate'\nrate = 10\nduration = '1h'\nname = 'l'\n[load.tls]\ninsecure = true"
            }
            Self::LoaderPreparation | Self::LoaderRun => {
                "[[load]]\nkind = 'rate'\nrate = 10\nduration = '10s'\nname = 'l'"
            }
            Self::WarmUp => "[[load]]\nkind = 'rate'\nrate = 10\nduration = '10s'\nwarm_up = '1h'\nname = 'l'",
            Self::Window => "[[load]]\nkind = 'rate'\nrate = 10\nduration = '1h'\nwarm_up = '0s'\nname = 'l'",
            // It connects to the service, and does not end.
            Self::LoadProgram => {
                "[[load]]\nkind = 'command'\nname = 'l'\nprogram = 'bash'\n\
                 arguments = ['-c', 'exec 3<>/dev/tcp/{host}/{port} && sleep 3600']"
            }
            Self::Readback => {
                "[[load]]\nkind = 'users'\nusers = 1\nduration = '200ms'\nwarm_up = '0s'\ntimeout = '100ms'\nname = 'l'"
            }
            _ => "[[load]]\nkind = 'none'\nduration = '200ms'\nname = 'l'",
        };
        experiment(&format!(
            "[experiment]\nname = 'x'\niterations = 1\nhost = 'lab'\n\
             [deadlines]\nanswer = '1h'\nready = '1h'\ngrace = '1h'\nlease = '3s'\n\
             [[platform]]\nkind = 'native'\n[[workload]]\n{workload}\n{load}\n"
        ))
    }
}

fn experiment(text: &str) -> Experiment {
    let checked = parse("x.toml", text, &Overrides::default());
    checked.unwrap_or_else(|problems| panic!("{problems:?}")).experiment
}

/// Calls a function at the beginning of every phase, and with "done" when the trial is.
struct OnPhase<F>(F);

impl<F: Fn(&str) + Send + Sync> Progress for OnPhase<F> {
    fn phase(&self, phase: &str) {
        (self.0)(phase);
    }
    fn resumed(&self, _: usize) {}
    fn trial_started(&self, _: &TrialLabel) {}
    fn load_progress(&self, _: u64, _: Option<u64>, _: u64) {}
    fn trial_done(&self, _: &str, _: Duration) {
        (self.0)("done");
    }
    fn attempt_failed(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn finish(&self, _: &str) {}
}

/// A message of the golden files.
fn golden(message: &[u8]) -> Event {
    Envelope::decode(message, None).unwrap().body
}

fn summary(batches: u64) -> Event {
    match golden(include_bytes!("../../protocol/tests/golden/summary.json")) {
        Event::Summary(summary) => Event::Summary(Summary { batches, ..summary }),
        other => panic!("not SUMMARY: {other:?}"),
    }
}

fn failed() -> Event {
    Event::Failed(Failed {
        stage: Stage::Start,
        why: "stopped".to_owned(),
        logs: vec![],
        teardown: Teardown::default(),
    })
}

/// READY with every service that listens at the address that `at` gives it.
fn ready(run: &Run, at: impl Fn(&str) -> SocketAddr) -> Event {
    let listening = run.services.iter().filter(|service| match &service.source {
        ServiceSource::Workload(workload) => workload.port.is_some(),
        ServiceSource::Inline(_) | ServiceSource::Named(_) => true,
    });
    let endpoint = |name: &protocol::Name| Endpoint {
        service: name.clone(),
        address: at(name.as_str()),
    };
    Event::Ready(Ready {
        clock_ns: 1,
        endpoints: listening.map(|service| endpoint(&service.name)).collect(),
        startup: vec![],
        prepare_ns: 1,
        seed_ns: None,
        idle: None,
        placement: vec![],
        deviations: vec![],
        emulation: None,
        services: vec![],
    })
}

/// The services of an attempt. They are connected to, and never reply.
struct Services {
    http: TcpListener,
    udp: UdpSocket,
    /// The service that the readback asks.
    witness: TcpListener,
}

impl Services {
    async fn start() -> Self {
        Self {
            http: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            witness: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    fn address(&self, during: During, service: &str) -> SocketAddr {
        match (during, service) {
            (During::ReachabilityCheck, _) => self.udp.local_addr().unwrap(),
            (_, "device-gateway") => self.witness.local_addr().unwrap(),
            _ => self.http.local_addr().unwrap(),
        }
    }

    /// Interrupts when the load, or what comes before or after it, reaches a service.
    async fn watch(&self, during: During, cancel: &CancellationToken) {
        match during {
            During::ReachabilityCheck => drop(self.udp.recv_from(&mut [0; 64]).await.unwrap()),
            During::TlsHandshake | During::WarmUp | During::LoadProgram | During::TaskRun => {
                // The check of reachability, and the handshake or first request.
                let _first = self.http.accept().await.unwrap();
                let _second = self.http.accept().await.unwrap();
                cancel.cancel();
                std::future::pending().await
            }
            During::Readback => {
                let (mut asked, _) = self.witness.accept().await.unwrap();
                cancel.cancel();
                // Until the controller lets go of it.
                let _ = asked.read_to_end(&mut Vec::new()).await;
            }
            _ => std::future::pending().await,
        }
        cancel.cancel();
        std::future::pending().await
    }
}

/// A runner that stops answering in the phase. Returns the commands that followed the interruption, up to the STOP for it.
async fn runner(
    (events, mut commands): (EventSender, CommandReceiver),
    services: Arc<Services>,
    during: During,
    cancel: CancellationToken,
) -> Vec<&'static str> {
    let (mut after, mut pings) = (Vec::new(), 0);
    loop {
        let command = commands.recv().await;
        let reply = Reply::to(&command);
        if cancel.is_cancelled() {
            after.push(command.body.as_str());
        }
        let answer = match command.body {
            Command::Run(_) if during == During::RunRequest => {
                cancel.cancel();
                continue;
            }
            Command::Run(run) => {
                events.send(&reply, Event::Accepted(Accepted {})).await.unwrap();
                if during == During::Deployment {
                    continue;
                }
                ready(&run, |service| services.address(during, service))
            }
            Command::Ping(_) => {
                pings += 1;
                if (during, pings) == (During::FirstPing, 1) || (during == During::LastPings && pings > 8) {
                    cancel.cancel();
                    continue;
                }
                Event::Pong(Pong { clock_ns: pings })
            }
            Command::Edge(_) if during == During::Window => {
                cancel.cancel();
                continue;
            }
            Command::Stop(stop) if stop.reason == StopReason::Cancelled => {
                events.send(&reply, failed()).await.unwrap();
                return after;
            }
            Command::Stop(_) if during == During::Samples => summary(5),
            _ => continue,
        };
        events.send(&reply, answer).await.unwrap();
    }
}

/// A loader that stops answering in the phase, until STOP.
async fn loader((events, mut commands): (EventSender, CommandReceiver), during: During, cancel: CancellationToken) {
    loop {
        let command = commands.recv().await;
        let reply = Reply::to(&command);
        let answer = match command.body {
            Command::Prepare(_) if during == During::LoaderPreparation => {
                cancel.cancel();
                continue;
            }
            Command::Prepare(_) => Event::Prepared(Prepared {}),
            Command::Ping(_) => Event::Pong(Pong { clock_ns: 1 }),
            Command::Start(_) => {
                cancel.cancel();
                continue;
            }
            Command::Stop(stop) => return assert_eq!(stop.reason, StopReason::Cancelled),
            _ => continue,
        };
        events.send(&reply, answer).await.unwrap();
    }
}

fn attempt_of(experiment: &Experiment) -> AttemptSpec {
    let parts = (&experiment.platforms[0], &experiment.workloads[0], &experiment.loads[0]);
    let cell = CellKey {
        platform: parts.0.name.clone(),
        workload: parts.1.name.clone(),
        load: parts.2.name.clone(),
    };
    let trial = TrialKey { block: 1, cell };
    AttemptSpec::new(experiment, parts, AttemptKey { trial, attempt: 1 }, 0)
}

/// An attempt that is interrupted in the phase: its outcome, and the runner.
async fn interrupted(during: During) -> (AttemptOutcome, JoinHandle<Vec<&'static str>>) {
    let broker = TestBroker::start().await;
    let (host, helper) = (name("lab"), name("helper"));
    let connection = connect_runner(&broker.bus, &host, ONCE).await.unwrap();
    let loader_connection = connect_runner(&broker.bus, &helper, ONCE).await.unwrap();
    let (commands, events) = connect_controller(&broker.bus, &name("night"), Epoch(1)).await.unwrap();
    let (services, cancel) = (Arc::new(Services::start().await), CancellationToken::new());
    let runner = tokio::spawn(runner(connection, Arc::clone(&services), during, cancel.clone()));
    let loader = tokio::spawn(loader(loader_connection, during, cancel.clone()));
    let mut links = links(&commands, events, [&host, &helper]);
    let has_loader = matches!(during, During::LoaderPreparation | During::LoaderRun);
    let fleet = has_loader.then(|| Arc::new(Mutex::new(Fleet::new(vec![links.remove(1)]))));
    let mut spec = attempt_of(&during.experiment());
    spec.deadlines.samples = Duration::from_secs(3600);
    let spec = Arc::new(spec);
    let on_phase = OnPhase(|phase: &str| {
        let entered = [
            (During::Deployment, "deployment"),
            (During::Stop, "stop"),
            (During::Samples, "samples"),
        ];
        if entered.contains(&(during, phase)) {
            cancel.cancel();
        }
    });
    let outcome = run_attempt((&links[0], fleet.as_ref()), &spec, &cancel, &on_phase);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(TIMEOUT, outcome) => outcome.unwrap().unwrap(),
        () = services.watch(during, &cancel) => unreachable!("it never ends"),
    };
    assert!(outcome.cancelled);
    if has_loader {
        tokio::time::timeout(TIMEOUT, loader).await.unwrap().unwrap();
    }
    (outcome, runner)
}

/// STOP follows the interruption, and the attempt does not wait for what it was doing.
async fn is_stopped(during: During) -> AttemptOutcome {
    let (outcome, runner) = interrupted(during).await;
    let after = tokio::time::timeout(TIMEOUT, runner).await.unwrap().unwrap();
    assert!(after.len() <= FEW + 1, "{after:?}");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_request_and_a_deployment_are_stopped() {
    is_stopped(During::RunRequest).await;
    is_stopped(During::Deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_precedes_the_load_is_stopped() {
    is_stopped(During::ReachabilityCheck).await;
    is_stopped(During::TlsHandshake).await;
    let outcome = is_stopped(During::FirstPing).await;
    assert!(outcome.load.exchanges.is_empty() && outcome.load.outcome.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn loaders_are_stopped() {
    is_stopped(During::LoaderPreparation).await;
    is_stopped(During::LoaderRun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_stopped() {
    let loads = [During::WarmUp, During::Window, During::LoadProgram, During::TaskRun];
    for during in loads {
        let outcome = is_stopped(during).await;
        assert!(outcome.load.outcome.unwrap().cancelled, "what was measured is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_load_is_stopped() {
    let outcome = is_stopped(During::Readback).await;
    assert!(outcome.load.outcome.is_some() && outcome.load.readback.is_none());
    let outcome = is_stopped(During::LastPings).await;
    assert_eq!(outcome.load.exchanges.len(), 8);
}

/// STOP was sent before: the attempt ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_summary_and_samples_ends() {
    for during in [During::Stop, During::Samples] {
        let (_, runner) = interrupted(during).await;
        assert!(!runner.is_finished());
        runner.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_acts_while_a_ping_is_unanswered() {
    let broker = TestBroker::start().await;
    let host = name("lab");
    let (events, mut commands) = connect_runner(&broker.bus, &host, ONCE).await.unwrap();
    let (sender, receiver) = connect_controller(&broker.bus, &name("night"), Epoch(1)).await.unwrap();
    let mut spec = attempt_of(&During::FirstPing.experiment());
    spec.deadlines.load = Duration::from_millis(100);
    let services = Services::start().await;
    let runner = tokio::spawn(async move {
        let mut pings = 0;
        loop {
            let command = commands.recv().await;
            let reply = Reply::to(&command);
            match command.body {
                Command::Run(run) => {
                    let ready = ready(&run, |service| services.address(During::FirstPing, service));
                    events.send(&reply, ready).await.unwrap();
                }
                Command::Ping(_) => pings += 1,
                Command::Stop(stop) => {
                    assert_eq!(stop.reason, StopReason::Deadline);
                    events.send(&reply, failed()).await.unwrap();
                    return pings;
                }
                _ => {}
            }
        }
    });
    let links = links(&sender, receiver, [&host]);
    let (never, progress) = (CancellationToken::new(), OnPhase(|_: &str| {}));
    let spec = Arc::new(spec);
    let outcome = run_attempt((&links[0], None), &spec, &never, &progress);
    tokio::time::timeout(TIMEOUT, outcome).await.unwrap().unwrap();
    // An unanswered PING is repeated every second, and lost after 3 s.
    let pings = runner.await.unwrap();
    assert!(pings <= FEW, "{pings} PINGs before STOP");
}

/// Where the user ends a run outside an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outside {
    Describe,
    Settling,
    AfterALostAttempt,
    Report,
}

/// A runner that stops answering there, and never sees the RUN of a host that has not settled.
async fn outside(
    (events, mut commands): (EventSender, CommandReceiver),
    services: Services,
    at: Outside,
    cancel: CancellationToken,
) {
    let mut described = 0;
    loop {
        let command = commands.recv().await;
        let reply = Reply::to(&command);
        let answer = match command.body {
            Command::Describe(_) => {
                described += 1;
                if described > usize::from(at != Outside::Describe) {
                    cancel.cancel();
                    continue;
                }
                match golden(include_bytes!("../../protocol/tests/golden/facts.json")) {
                    Event::Facts(mut facts) => {
                        (facts.host, facts.platforms) = (name("lab"), vec![]);
                        Event::Facts(facts)
                    }
                    other => panic!("not FACTS: {other:?}"),
                }
            }
            Command::Run(_) if at == Outside::Settling => panic!("the host has not settled"),
            Command::Run(run) if at == Outside::Report => {
                ready(&run, |service| services.address(During::FirstPing, service))
            }
            Command::Ping(_) => Event::Pong(Pong { clock_ns: 1 }),
            Command::Stop(_) if at == Outside::Report => summary(0),
            _ => continue,
        };
        events.send(&reply, answer).await.unwrap();
    }
}

/// A run of one attempt.
async fn run(
    brokers: (&str, &str),
    at: Outside,
    results: &Path,
    cancel: &CancellationToken,
    progress: &dyn Progress,
) -> Result<Finished, CampaignError> {
    let more = match at {
        Outside::AfterALostAttempt => "answer = '500ms'\n",
        Outside::Settling => "[band]\nmax_load = 100\n",
        Outside::Describe | Outside::Report => "",
    };
    let text = format!(
        "[experiment]\nname = 'x'\niterations = 1\nmax_attempts = 1\nhost = 'lab'\nresults = '{}'\n\
         [kafka]\nbrokers = '{}'\nprefix = '{}'\n\
         [deadlines]\nrunner = '1h'\ngrace = '100ms'\n{more}\
         [[platform]]\nkind = 'native'\n[[workload]]\nkind = 'tcp'\n\
         [[load]]\nkind = 'none'\nname = 'l'\nduration = '200ms'\n",
        results.display(),
        brokers.0,
        brokers.1,
    );
    let experiment = experiment(&text);
    let options = Options {
        source: Source::of(Path::new("x.toml"), &text),
        resume: None,
    };
    let run = campaign::run(&experiment, Plan::new(&experiment), &options, progress, cancel);
    tokio::time::timeout(TIMEOUT, run).await.unwrap()
}

/// A run that is interrupted there.
async fn interrupted_outside(at: Outside) -> Result<Finished, CampaignError> {
    let (broker, results) = (TestBroker::start().await, tempfile::tempdir().unwrap());
    let (services, cancel) = (Services::start().await, CancellationToken::new());
    let connection = connect_runner(&broker.bus, &name("lab"), ONCE).await.unwrap();
    let runner = tokio::spawn(outside(connection, services, at, cancel.clone()));
    // Reading the manifest for the report takes until the writer is dropped.
    let writer = std::sync::Mutex::new(None);
    let progress = OnPhase(|phase: &str| {
        if (at, phase) == (Outside::Report, "done") {
            let run = results.path().join("x").read_dir().unwrap().next().unwrap().unwrap();
            let manifest = run.path().join("manifest.json");
            std::fs::remove_file(&manifest).unwrap();
            nix::unistd::mkfifo(&manifest, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let cancel = cancel.clone();
            *writer.lock().unwrap() = Some(std::thread::spawn(move || {
                // It cannot be opened before it is read.
                let mut options = std::fs::File::options();
                options.write(true).custom_flags(nix::libc::O_NONBLOCK);
                let mut opened = None;
                testkit::wait::until("the manifest is read", || {
                    opened = options.open(&manifest).ok();
                    opened.is_some()
                });
                cancel.cancel();
                opened.unwrap()
            }));
        }
    });
    let brokers = (broker.bus.brokers.as_str(), broker.bus.prefix.as_str());
    let finished = run(brokers, at, results.path(), &cancel, &progress).await;
    assert!(!runner.is_finished(), "the runner's expectations hold");
    runner.abort();
    if let Some(writer) = writer.into_inner().unwrap() {
        let _ = writer.join().unwrap().write_all(b"the end");
    }
    finished
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_given_up() {
    let (silent, results) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (address, cancel) = (silent.local_addr().unwrap().to_string(), CancellationToken::new());
    let progress = OnPhase(|_: &str| {});
    let connected = async {
        let _connection = silent.accept().await.unwrap();
        cancel.cancel();
        std::future::pending::<()>().await
    };
    let finished = tokio::select! {
        finished = run((&address, "x."), Outside::Describe, results.path(), &cancel, &progress) => finished,
        () = connected => unreachable!("it never ends"),
    };
    assert!(matches!(finished, Err(CampaignError::Interrupted)), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_the_host_is_given_up() {
    let finished = interrupted_outside(Outside::Describe).await;
    assert!(matches!(finished, Err(CampaignError::Interrupted)), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_host_ends_the_run() {
    for at in [Outside::Settling, Outside::AfterALostAttempt] {
        let finished = interrupted_outside(at).await.unwrap();
        assert!(
            finished.interrupted && finished.reports.is_some(),
            "{at:?}: {finished:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_given_up() {
    let finished = interrupted_outside(Outside::Report).await.unwrap();
    assert!(!finished.interrupted && finished.reports.is_none(), "{finished:?}");
}
