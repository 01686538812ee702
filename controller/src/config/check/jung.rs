//! `[[workload]]` with `kind = "jung"`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use protocol::load::JungMix;
use protocol::spec::BrokerProgram;

use super::at::At;
use super::value;
use crate::config::field::Field;
use crate::config::jung::{Amounts, JungWorkload, ServicesKafka};
use crate::config::problem::{Fault, Problem, did_you_mean};
use crate::config::raw::{RawExperiment, RawWorkload};
use crate::config::{Experiment, Service, WorkloadKind};
use protocol::load::LoadKind;

/// The services that have an address, of which there is one each.
const GATEWAYS: [Service; 2] = [Service::ApiGateway, Service::DeviceGateway];

/// The broker's port if none is said: Kafka's own is the control broker's.
const KAFKA_PORT: u16 = 19_092;

/// Checks the keys of this kind; `None` has left a problem.
pub(super) fn check(raw: &RawWorkload, at: &mut At<'_>) -> Option<JungWorkload> {
    let port = at.or(&raw.port, 8080, value::whole("a port", 1..=65_535, 8080));
    let device_port = at.or(&raw.device_port, 8081, value::whole("a port", 1..=65_535, 8081));
    let instances = at.or(&raw.instances, BTreeMap::new(), instances);
    let most = instances
        .as_ref()
        .and_then(|all| all.values().copied().max())
        .unwrap_or(1);
    let partitions = at.or(
        &raw.partitions,
        most,
        value::whole("the number of partitions", 1..=100, most),
    );
    if partitions.is_some_and(|partitions| partitions < most) {
        let what = format!("{most} instances of a service cannot share fewer partitions");
        at.error(
            &raw.partitions,
            Fault::new(what, format!("write partitions = {most}, or leave it out")),
        );
    }
    let concurrency = at.or(
        &raw.concurrency,
        64,
        value::whole("a number of tasks at a time", 1..=10_000, 64),
    );
    let beside = at.or(&raw.beside, GATEWAYS.into(), |names| {
        names.iter().map(|name| service(name)).collect()
    });
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    let reply_timeout = at.or(
        &raw.reply_timeout,
        s(15),
        value::within("a time-out", ms(1)..=s(600), "15s"),
    );
    let (amounts, mix) = (amounts(raw, at), mix(raw, at));
    let kafka = kafka(raw, at);
    let (port, device_port, kafka) = (port?, device_port?, kafka?);
    distinct(raw, at, port, device_port, &kafka)?;
    Some(JungWorkload {
        amounts: amounts?,
        mix: mix?,
        concurrency: concurrency?,
        partitions: partitions?,
        instances: instances?,
        beside: beside?,
        kafka,
        port,
        device_port,
        reply_timeout: reply_timeout?,
    })
}

/// Notes the keys of this kind that are given to another.
pub(super) fn foreign(raw: &RawWorkload, at: &mut At<'_>) {
    let numbers = [
        &raw.users,
        &raw.devices,
        &raw.rules,
        &raw.readings,
        &raw.get_user,
        &raw.get_device,
        &raw.get_readings,
        &raw.post_command,
        &raw.concurrency,
        &raw.partitions,
        &raw.kafka_port,
        &raw.device_port,
    ];
    let (what, remedy) = ("this key is for kind = \"jung\"", "leave it out here");
    for field in numbers {
        at.foreign(field, what, remedy);
    }
    at.foreign(&raw.instances, what, remedy);
    at.foreign(&raw.beside, what, remedy);
    at.foreign(&raw.kafka, what, remedy);
    at.foreign(&raw.reply_timeout, what, remedy);
}

/// Whether every load can be fired at the workloads of this kind: by users that they have, who ask for what the workload defines.
pub(super) fn fit(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) {
    for workload in &experiment.workloads {
        let WorkloadKind::Jung(jung) = &workload.kind else {
            continue;
        };
        let loads = raw.loads.iter().zip(&experiment.loads);
        for (raw, load) in loads.filter(|(_, load)| experiment.pairs(workload, load)) {
            let mut at = At::new(&raw.keys.section, problems);
            let LoadKind::Users(users) = &load.spec.kind else {
                let what = format!("the requests of workload {} are those of users", workload.name);
                at.error(&raw.keys.kind, Fault::new(what, "write kind = \"users\""));
                continue;
            };
            if users.users > jung.amounts.users {
                let what = format!("workload {} has {} users", workload.name, jung.amounts.users);
                let remedy = "write no more, or give the workload more";
                at.error(&raw.keys.users, Fault::new(what, remedy));
            }
            if let Some(mix) = raw.mix.first() {
                let what = format!("workload {} defines what its users ask for", workload.name);
                let remedy = "leave [[load.mix]] out; the workload's get_user, get_device, get_readings and post_command say how often";
                at.elsewhere(&mix.section).whole(Fault::new(what, remedy));
            }
        }
    }
}

fn amounts(raw: &RawWorkload, at: &mut At<'_>) -> Option<Amounts> {
    let users = at.or(&raw.users, 30, value::whole("the number of users", 1..=10_000, 30));
    let devices = at.or(
        &raw.devices,
        30,
        value::whole("the number of devices of a user", 1..=1000, 30),
    );
    let rules = at.or(
        &raw.rules,
        1,
        value::whole("the number of rules of a device", 0..=100, 1),
    );
    let readings = at.or(
        &raw.readings,
        0,
        value::whole("the number of first readings", 0..=1_000_000, 0),
    );
    Some(Amounts {
        users: users?,
        devices: devices?,
        rules: rules?,
        readings: readings?,
    })
}

fn mix(raw: &RawWorkload, at: &mut At<'_>) -> Option<JungMix> {
    let mut each = |field: &Field<i64>, default| {
        at.or(
            field,
            default,
            value::whole("a number of requests of a user", 0..=1_000_000, default),
        )
    };
    let (get_user, get_device) = (
        each(&raw.get_user, JungMix::TABLE_2.get_user),
        each(&raw.get_device, JungMix::TABLE_2.get_device),
    );
    let (get_readings, post_command) = (
        each(&raw.get_readings, JungMix::TABLE_2.get_readings),
        each(&raw.post_command, JungMix::TABLE_2.post_command),
    );
    let mix = JungMix {
        get_user: get_user?,
        get_device: get_device?,
        get_readings: get_readings?,
        post_command: post_command?,
    };
    if [mix.get_user, mix.get_device, mix.get_readings, mix.post_command] == [0; 4] {
        let fault = Fault::new(
            "its users have nothing to ask for",
            "give one of get_user, get_device, get_readings and post_command a number",
        );
        at.error(&raw.get_user, fault);
        return None;
    }
    Some(mix)
}

fn instances(counts: &Vec<(String, i64)>) -> Result<BTreeMap<Service, u16>, Fault> {
    let mut all = BTreeMap::new();
    for (name, count) in counts {
        let service = service(name)?;
        let most = if GATEWAYS.contains(&service) { 1 } else { 16 };
        let count = u16::try_from(*count).ok().filter(|count| (1..=most).contains(count));
        let count = count.ok_or_else(|| {
            let what = match most {
                1 => format!("of {name} there is one"),
                most => format!("of {name} there can be 1 to {most}"),
            };
            Fault::new(what, "write e.g. { auth-manager = 2 }")
        })?;
        all.insert(service, count);
    }
    Ok(all)
}

fn service(name: &str) -> Result<Service, Fault> {
    let found = Service::ALL.into_iter().find(|service| service.name() == name);
    found.ok_or_else(|| {
        let names = Service::ALL.map(Service::name);
        let remedy = match did_you_mean(name, names) {
            Some(word) => format!("did you mean {word}?"),
            None => format!("the services are {}", names.join(", ")),
        };
        Fault::new(format!("there is no service {name:?}"), remedy)
    })
}

fn kafka(raw: &RawWorkload, at: &mut At<'_>) -> Option<ServicesKafka> {
    let port = at.or(
        &raw.kafka_port,
        KAFKA_PORT,
        value::whole("a port with a next one", 1..=65_534, KAFKA_PORT),
    )?;
    let kafka = at.or(
        &raw.kafka,
        ServicesKafka::Started {
            program: BrokerProgram::Own,
            port,
        },
        |text| {
            let program = match text.as_str() {
                "own" => BrokerProgram::Own,
                "apache" => BrokerProgram::Apache,
                addresses => return running(addresses),
            };
            Ok(ServicesKafka::Started { program, port })
        },
    )?;
    if let ServicesKafka::Running(_) = kafka {
        at.foreign(
            &raw.kafka_port,
            "a broker that runs already has its ports",
            "leave it out here",
        );
    }
    Some(kafka)
}

/// Addresses, not names: a container FROM scratch and a guest have no resolver.
fn running(addresses: &str) -> Result<ServicesKafka, Fault> {
    let good = |one: &str| {
        let address: Option<SocketAddr> = one.trim().parse().ok();
        address.is_some_and(|address| address.port() > 0 && !address.ip().is_unspecified())
    };
    if addresses.split(',').all(good) {
        return Ok(ServicesKafka::Running(addresses.to_owned()));
    }
    let remedy = "write \"own\", \"apache\", or where one runs that the services reach, e.g. \"10.0.0.3:9092\"";
    Err(Fault::new("this is no broker for the services", remedy))
}

fn distinct(raw: &RawWorkload, at: &mut At<'_>, port: u16, device_port: u16, kafka: &ServicesKafka) -> Option<()> {
    let mut taken = BTreeSet::from([port]);
    if !taken.insert(device_port) {
        let fault = Fault::new("the API gateway has this port", "give the device gateway another");
        at.error(&raw.device_port, fault);
        return None;
    }
    if let ServicesKafka::Started { port, .. } = kafka
        && [*port, port + 1].iter().any(|port| taken.contains(port))
    {
        let what = format!("a gateway has port {port} or the next");
        at.error(&raw.kafka_port, Fault::new(what, "give the broker others"));
        return None;
    }
    Some(())
}
