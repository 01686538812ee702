//! The services of the workload `jung`, their places and their start order.

use protocol::spec::{
    BrokerSpec, HttpProbe, Place, Probe, SeedSpec, ServiceSource, ServiceSpec, StartedProbe, WorkloadService,
};
use protocol::{AttemptId, Name};

use super::Asked;
use crate::config::{JungWorkload, PhaseDeadlines, Service, ServicesKafka};

/// Partitions of result topics for one instance of each service: each then reads only its own results.
const RESULT_PARTITIONS: u16 = 8;

/// What becomes the broker's address where the runner starts it.
const BROKERS: &str = "{brokers}";

pub(super) fn asked(jung: &JungWorkload, attempt: AttemptId, limits: &PhaseDeadlines) -> Asked {
    let (broker, brokers) = match &jung.kafka {
        ServicesKafka::Running(addresses) => (None, addresses.as_str()),
        &ServicesKafka::Started { program, port } => (Some(BrokerSpec { program, port }), BROKERS),
    };
    let ordered = Service::ALL
        .into_iter()
        .filter(|&service| service != Service::ApiGateway);
    let mut ordered: Vec<Service> = ordered.collect();
    ordered.sort_by_key(|service| jung.beside.contains(service));
    // The last, since its probe asks all others.
    ordered.push(Service::ApiGateway);
    let services = ordered.into_iter().flat_map(|service| {
        let instances = 0..jung.instances_of(service);
        instances.map(move |instance| one(jung, service, instance, brokers, attempt))
    });
    Asked {
        services: services.collect(),
        broker,
        seed: Some(seed(jung, limits)),
        front: name(Service::ApiGateway, 0),
    }
}

/// The name of an instance, e.g. `auth-manager` and `auth-manager-2`.
pub(super) fn name(service: Service, instance: u16) -> Name {
    let text = match instance {
        0 => service.name().to_owned(),
        further => format!("{service}-{}", further + 1),
    };
    #[expect(clippy::expect_used, reason = "the names of services are names")]
    text.parse().expect("a name")
}

fn one(jung: &JungWorkload, service: Service, instance: u16, brokers: &str, attempt: AttemptId) -> ServiceSpec {
    let most = jung.instances.values().copied().max().unwrap_or(1);
    let mut args: Vec<String> = vec!["jung".into(), service.name().into()];
    let mut option = |name: &str, value: String| args.extend([format!("--{name}"), value]);
    option("brokers", brokers.to_owned());
    // What another trial left in the topics of a broker that outlives it is none of this one's business.
    option("prefix", format!("jung-{attempt}-"));
    option("partitions", jung.partitions.to_string());
    option("result-partitions", RESULT_PARTITIONS.saturating_mul(most).to_string());
    option("concurrency", jung.concurrency.to_string());
    option("timeout", jung.reply_timeout.as_millis().to_string());
    option("instance", instance.to_string());
    let http = |path: &str| {
        Probe::Http(HttpProbe {
            path: path.to_owned(),
            status: 200,
            body_bytes: None,
            body: None,
        })
    };
    let (port, ready) = match service {
        Service::ApiGateway => (Some(jung.port), http("/health")),
        Service::DeviceGateway => (Some(jung.device_port), http("/devices")),
        _ => (None, Probe::Started(StartedProbe {})),
    };
    if port.is_some() {
        option("listen", "{listen}".to_owned());
    }
    let place = if jung.beside.contains(&service) {
        Place::Beside
    } else {
        Place::Platform
    };
    ServiceSpec {
        name: name(service, instance),
        place,
        source: ServiceSource::Workload(WorkloadService { args, port, ready }),
    }
}

fn seed(jung: &JungWorkload, limits: &PhaseDeadlines) -> SeedSpec {
    let amounts = jung.amounts;
    let mut args: Vec<String> = vec!["jung".into(), "seed".into()];
    args.extend(["--gateway".into(), format!("{{endpoint:{}}}", Service::ApiGateway)]);
    for (name, amount) in [
        ("users", amounts.users),
        ("devices", amounts.devices),
        ("rules", amounts.rules),
        ("readings", amounts.readings),
    ] {
        args.extend([format!("--{name}"), amount.to_string()]);
    }
    SeedSpec {
        args,
        deadline_ms: u64::try_from(limits.seed.as_millis()).unwrap_or(u64::MAX),
    }
}
