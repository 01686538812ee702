//! `[[workload]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use protocol::load::{JungMix, LoadKind};
use protocol::spec::BrokerProgram;
use protocol::toml::{Fault, Field, Problem, TableCheck, Unique, did_you_mean, each, value};

use super::{service, task};
use crate::config::raw::{RawExperiment, RawWorkload, RawWorkloadKeys};
use crate::config::{
    Amounts, Experiment, JungWorkload, Service, ServicesKafka, TcpWorkload, UdpWorkload, Workload, WorkloadKind,
};

/// The longest body, bytes.
const MAX_REPLY: i64 = 16 << 20;

/// The most letters that a packet carries beside its number.
const MAX_LETTERS: i64 = 65_499;

/// The kinds of workload, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Jung,
    Udp,
    Service,
    Task,
}

/// Their words.
const KINDS: [(&str, Kind); 5] = [
    ("tcp", Kind::Tcp),
    ("udp", Kind::Udp),
    ("jung", Kind::Jung),
    ("service", Kind::Service),
    ("task", Kind::Task),
];

/// Checks every `[[workload]]`; `None`: a problem is reported.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Workload>> {
    let none = ("[[workload]]", "add [[workload]] and kind = \"tcp\" below it");
    each(&raw.workloads, &raw.file, none, problems, one)
}

fn one(raw_workload: &RawWorkload, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Workload> {
    let raw = &raw_workload.keys;
    let mut table = TableCheck::new(&raw.section, problems);
    let kind = table.required(&raw.kind, "kind = \"tcp\"", value::choice(&KINDS));
    let name = table.name_or_kind(&raw.name, &raw.kind, taken);
    let kind = kind?;
    if !matches!(kind, Kind::Jung) {
        forbid_jung_keys(raw, &mut table);
    }
    if !matches!(kind, Kind::Udp) {
        forbid_udp_keys(raw, &mut table);
    }
    if !matches!(kind, Kind::Tcp) {
        table.forbid(&raw.copies, "this key is for kind = \"tcp\"", "remove it");
    }
    if !matches!(kind, Kind::Task) {
        task::forbid(raw, &mut table);
    }
    if matches!(kind, Kind::Jung | Kind::Service | Kind::Task) {
        table.forbid(&raw.reply_bytes, "this key is for kind = \"tcp\"", "remove it");
    }
    let kind = match kind {
        Kind::Tcp => tcp(raw, &mut table).map(WorkloadKind::Tcp),
        Kind::Jung => jung(raw, &mut table).map(|jung| WorkloadKind::Jung(Box::new(jung))),
        Kind::Udp => udp(raw, &mut table).map(WorkloadKind::Udp),
        Kind::Service => {
            let what = "the port of a service is a parameter of its description";
            table.forbid(&raw.port, what, "write parameters = { port = 8080 }");
            service::check(raw_workload, name.as_ref(), problems)
                .map(|service| WorkloadKind::Service(Box::new(service)))
        }
        Kind::Task => {
            let what = "the port of a task is a parameter of its description";
            table.forbid(&raw.port, what, "write parameters = { port = 8080 }");
            task::check(raw_workload, name.as_ref(), problems).map(|service| WorkloadKind::Service(Box::new(service)))
        }
    };
    if !matches!(kind, Some(WorkloadKind::Service(_)) | None) {
        service::forbid(raw_workload, problems);
    }
    Some(Workload {
        name: name?,
        kind: kind?,
    })
}

fn udp(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) -> Option<UdpWorkload> {
    let port = table.or(&raw.port, 8081, value::integer("a port", 1..=65_535, 8081));
    let letters = table.optional(
        &raw.reply_bytes,
        value::integer("the number of letters of a reply", 0..=MAX_LETTERS, 1000),
    );
    let echo = table.or(&raw.echo, false, value::any);
    let sockets = table.or(&raw.sockets, 1, value::integer("a number of sockets", 1..=1024, 1));
    let receive_buffer = table.optional(
        &raw.receive_buffer,
        value::integer("a receive buffer in bytes", 1..=1 << 30, 1 << 20),
    );
    if echo? {
        table.forbid(
            &raw.reply_bytes,
            "an echo has no letters of its own",
            "remove it, or remove echo",
        );
    }
    Some(UdpWorkload {
        port: port?,
        letters: (!echo?).then_some(letters?.unwrap_or(1000)),
        sockets: sockets?,
        receive_buffer: receive_buffer?,
    })
}

/// Reports keys of packets under another kind.
fn forbid_udp_keys(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) {
    const WHAT: &str = "this key is for kind = \"udp\"";
    const REMEDY: &str = "remove it";
    table.forbid(&raw.echo, WHAT, REMEDY);
    table.forbid(&raw.sockets, WHAT, REMEDY);
    table.forbid(&raw.receive_buffer, WHAT, REMEDY);
}

fn tcp(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) -> Option<TcpWorkload> {
    let port = table.or(&raw.port, 8080, value::integer("a port", 1..=65_535, 8080));
    let reply_bytes = table.or(
        &raw.reply_bytes,
        1000,
        value::integer("the length of a reply", 0..=MAX_REPLY, 1000),
    );
    let copies = table.or(&raw.copies, 1, value::integer("a number of copies", 1..=200, 10));
    if let (Some(port), Some(copies)) = (port, copies)
        && 65_535 - port < copies - 1
    {
        let what = format!("{copies} copies need as many ports in a row, from {port}");
        table.error(&raw.copies, Fault::new(what, "lower port, or copies"));
    }
    Some(TcpWorkload {
        copies: copies?,
        port: port?,
        reply_bytes: reply_bytes?,
    })
}

/// The services that have an address, of which there is one each.
const GATEWAYS: [Service; 2] = [Service::ApiGateway, Service::DeviceGateway];

/// The broker's port if none is said: Kafka's own is the control broker's.
const KAFKA_PORT: u16 = 19_092;

/// Checks the keys of `jung`.
fn jung(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) -> Option<JungWorkload> {
    let port = table.or(&raw.port, 8080, value::integer("a port", 1..=65_535, 8080));
    let device_port = table.or(&raw.device_port, 8081, value::integer("a port", 1..=65_535, 8081));
    let instances = table.or(&raw.instances, BTreeMap::new(), instances);
    let most = instances
        .as_ref()
        .and_then(|all| all.values().copied().max())
        .unwrap_or(1);
    let partitions = table.or(
        &raw.partitions,
        most,
        value::integer("the number of partitions", 1..=100, most),
    );
    if partitions.is_some_and(|partitions| partitions < most) {
        let what = format!("{most} instances of a service cannot share fewer partitions");
        table.error(
            &raw.partitions,
            Fault::new(what, format!("write partitions = {most}, or omit it")),
        );
    }
    let concurrency = table.or(
        &raw.concurrency,
        64,
        value::integer("a number of tasks at a time", 1..=10_000, 64),
    );
    let beside = table.or(&raw.beside, GATEWAYS.into(), |names| {
        names.iter().map(|name| service(name)).collect()
    });
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    let reply_timeout = table.or(
        &raw.reply_timeout,
        s(15),
        value::within("a time-out", ms(1)..=s(600), "15s"),
    );
    let (amounts, mix) = (amounts(raw, table), mix(raw, table));
    let kafka = kafka(raw, table);
    let (port, device_port, kafka) = (port?, device_port?, kafka?);
    distinct(raw, table, port, device_port, &kafka)?;
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

/// Reports keys of `jung` under another kind.
fn forbid_jung_keys(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) {
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
    let (what, remedy) = ("this key is for kind = \"jung\"", "remove it");
    for field in numbers {
        table.forbid(field, what, remedy);
    }
    table.forbid(&raw.instances, what, remedy);
    table.forbid(&raw.beside, what, remedy);
    table.forbid(&raw.kafka, what, remedy);
    table.forbid(&raw.reply_timeout, what, remedy);
}

/// Reports loads that cannot be fired at workloads of kind `jung`: by others than their users, or with other requests.
pub(super) fn check_jung_loads(raw: &RawExperiment, experiment: &Experiment, problems: &mut Vec<Problem>) {
    for workload in &experiment.workloads {
        let WorkloadKind::Jung(jung) = &workload.kind else {
            continue;
        };
        let loads = raw.loads.iter().zip(&experiment.loads);
        for (raw, load) in loads.filter(|(_, load)| experiment.pairs(workload, load)) {
            let mut table = TableCheck::new(&raw.keys.section, problems);
            let LoadKind::Users(users) = &load.spec.kind else {
                let what = format!("the requests of workload {} are those of users", workload.name);
                table.error(&raw.keys.kind, Fault::new(what, "write kind = \"users\""));
                continue;
            };
            if users.users > jung.amounts.users {
                let what = format!("workload {} has {} users", workload.name, jung.amounts.users);
                let remedy = "write no more, or give the workload more";
                table.error(&raw.keys.users, Fault::new(what, remedy));
            }
            if !load.spec.http.is_plain() {
                let what = format!("workload {} defines what its users ask for", workload.name);
                let remedy = "leave the load's requests out; the workload's get_user, get_device, get_readings and post_command say how often";
                table.table_error(Fault::new(what, remedy));
            }
        }
    }
}

fn amounts(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) -> Option<Amounts> {
    let users = table.or(&raw.users, 30, value::integer("the number of users", 1..=10_000, 30));
    let devices = table.or(
        &raw.devices,
        30,
        value::integer("the number of devices of a user", 1..=1000, 30),
    );
    let rules = table.or(
        &raw.rules,
        1,
        value::integer("the number of rules of a device", 0..=100, 1),
    );
    let readings = table.or(
        &raw.readings,
        0,
        value::integer("the number of first readings", 0..=1_000_000, 0),
    );
    Some(Amounts {
        users: users?,
        devices: devices?,
        rules: rules?,
        readings: readings?,
    })
}

fn mix(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) -> Option<JungMix> {
    let mut each = |field: &Field<i64>, default| {
        table.or(
            field,
            default,
            value::integer("a number of requests of a user", 0..=1_000_000, default),
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
            "its users would send nothing",
            "give one of get_user, get_device, get_readings and post_command a number",
        );
        table.error(&raw.get_user, fault);
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

fn kafka(raw: &RawWorkloadKeys, table: &mut TableCheck<'_>) -> Option<ServicesKafka> {
    let port = table.or(
        &raw.kafka_port,
        KAFKA_PORT,
        value::integer("a port with a next one", 1..=65_534, KAFKA_PORT),
    )?;
    let kafka = table.or(
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
        table.forbid(&raw.kafka_port, "a broker that runs already has its ports", "remove it");
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
    Err(Fault::new("invalid broker for the services", remedy))
}

fn distinct(
    raw: &RawWorkloadKeys,
    table: &mut TableCheck<'_>,
    port: u16,
    device_port: u16,
    kafka: &ServicesKafka,
) -> Option<()> {
    let mut taken = BTreeSet::from([port]);
    if !taken.insert(device_port) {
        let fault = Fault::new("the API gateway has this port", "give the device gateway another");
        table.error(&raw.device_port, fault);
        return None;
    }
    if let ServicesKafka::Started { port, .. } = kafka
        && [*port, port + 1].iter().any(|port| taken.contains(port))
    {
        let what = format!("a gateway has port {port} or the next");
        table.error(&raw.kafka_port, Fault::new(what, "give the broker others"));
        return None;
    }
    Some(())
}
