//! Ctrl-C during an attempt, against a runner of the test's own over the embedded broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use analysis::store::{AttemptKey, CellKey, TrialKey};
use controller::config::{Overrides, parse};
use controller::peer::demux::events_by_host;
use controller::peer::link::Link;
use controller::trial::attempt::run_attempt;
use controller::trial::spec::AttemptSpec;
use protocol::bus::{CommandReceiver, EventSender, Reply, connect_controller, connect_runner};
use protocol::command::StopReason;
use protocol::event::{Accepted, Endpoint, Failed, Ready, Stage};
use protocol::summary::Teardown;
use protocol::{Command, Epoch, Event};
use testkit::bus::TestBroker;
use testkit::name;
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(60);

const EXPERIMENT: &str = "[experiment]\nname = 'x'\niterations = 1\nhost = 'lab'\n[[platform]]\nkind = 'native'\n\
                          [[workload]]\nkind = 'tcp'\n\
                          [[load]]\nkind = 'rate'\nname = 'r'\nrate = 10\nduration = '10s'\n";

/// The phase in which the user ends the run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum During {
    Deployment,
    ClockMeasurement,
}

/// A runner that accepts RUN, reports READY unless it is to deploy for ever, and never answers a PING. Cancels in the phase, and returns how many
/// PINGs came between that and STOP.
async fn stopped_after(
    (events, mut commands): (EventSender, CommandReceiver),
    address: SocketAddr,
    during: During,
    cancel: CancellationToken,
) -> usize {
    let mut pings = 0;
    loop {
        let command = commands.recv().await.unwrap();
        let reply = Reply::to(&command);
        match command.body {
            Command::Run(run) => {
                events.send(&reply, Event::Accepted(Accepted {})).await.unwrap();
                if during == During::Deployment {
                    cancel.cancel();
                    continue;
                }
                let ready = Ready {
                    clock_ns: 1,
                    endpoints: vec![Endpoint {
                        service: run.services[0].name.clone(),
                        address,
                    }],
                    startup: vec![],
                    prepare_ns: 1,
                    seed_ns: None,
                    idle: None,
                    placement: vec![],
                    deviations: vec![],
                    emulation: None,
                    services: vec![],
                };
                events.send(&reply, Event::Ready(ready)).await.unwrap();
            }
            Command::Ping(_) if cancel.is_cancelled() => pings += 1,
            Command::Ping(_) => cancel.cancel(),
            Command::Stop(stop) => {
                assert_eq!(stop.reason, StopReason::Cancelled);
                let failed = Failed {
                    stage: Stage::Start,
                    why: "stopped".to_owned(),
                    logs: vec![],
                    teardown: Teardown::default(),
                };
                events.send(&reply, Event::Failed(failed)).await.unwrap();
                return pings;
            }
            _ => {}
        }
    }
}

async fn cancelled(during: During) {
    let broker = TestBroker::start().await;
    let (host, controller) = (name("lab"), name("night"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let runner = connect_runner(&broker.bus, &host).await.unwrap();
    let (commands, events) = connect_controller(&broker.bus, &controller, Epoch(1)).await.unwrap();
    let experiment = parse("x.toml", EXPERIMENT, &Overrides::default()).unwrap().experiment;
    let key = AttemptKey {
        trial: TrialKey {
            block: 1,
            cell: CellKey {
                platform: name("native"),
                workload: name("tcp"),
                load: name("r"),
            },
        },
        attempt: 1,
    };
    let parts = (&experiment.platforms[0], &experiment.workloads[0], &experiment.loads[0]);
    let spec = AttemptSpec::new(&experiment, parts, key, 0);
    let cancel = CancellationToken::new();
    let address = listener.local_addr().unwrap();
    let stopped = tokio::spawn(stopped_after(runner, address, during, cancel.clone()));
    let mut link = Link::new(commands, events_by_host(events, [&host]).remove(0), host);
    let mut ignore = |_| {};
    let outcome = run_attempt((&mut link, None), &spec, &cancel, &mut ignore);
    let outcome = tokio::time::timeout(TIMEOUT, outcome).await.unwrap().unwrap();
    assert!(outcome.cancelled);
    // A PING is repeated every second: STOP did not wait for its time-out.
    let pings = tokio::time::timeout(TIMEOUT, stopped).await.unwrap().unwrap();
    assert!(pings <= 1, "{pings} PINGs before STOP");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_a_deployment() {
    cancelled(During::Deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_a_clock_measurement_that_gets_no_reply() {
    cancelled(During::ClockMeasurement).await;
}
