//! `[[workload]]` of kind `service`: services of others, by the name of their description or described in the file.

use std::collections::BTreeMap;

use protocol::Name;
use protocol::description;
use protocol::load::Transport;
use protocol::spec::{NamedService, Parameter, Place, PlatformKind, ServiceSource, ServiceSpec};
use protocol::toml::{Fault, Problem, TableCheck, Unique, did_you_mean, value};

use crate::config::raw::{RawExperiment, RawService, RawWorkload};
use crate::config::{Experiment, ServiceEntry, ServiceWorkload, Skip};

/// Checks the services of a workload, whose name is that of its only service; `None`: a problem is reported.
pub(super) fn check(raw: &RawWorkload, name: Option<&Name>, problems: &mut Vec<Problem>) -> Option<ServiceWorkload> {
    if raw.services.is_empty() {
        let mut table = TableCheck::new(&raw.keys.section, problems);
        let what = "the only service of a workload is on the platform";
        table.forbid(
            &raw.service.keys.beside,
            what,
            "remove it, or write [[workload.service]] for each of several services",
        );
        return Some(ServiceWorkload {
            front: entry(&raw.service, name.cloned(), Place::Platform, problems)?,
            others: Vec::new(),
            runs: None,
        });
    }
    forbid_single(
        raw,
        "this workload has [[workload.service]]",
        "move it below one of them",
        problems,
    );
    let mut taken = Unique::default();
    let entries: Vec<_> = raw
        .services
        .iter()
        .map(|service| {
            let mut table = TableCheck::new(&service.keys.section, problems);
            let kind = &service.keys.description;
            let name = if service.keys.name.is_absent() && kind.is_absent() {
                table.required(&service.keys.name, "name = \"web\"", value::name)
            } else {
                table.name_or_kind(&service.keys.name, kind, &mut taken)
            };
            let beside = table.or(&service.keys.beside, false, value::any);
            let place = if beside? { Place::Beside } else { Place::Platform };
            entry(service, name, place, problems)
        })
        .collect();
    let entries = entries.into_iter().collect::<Option<Vec<_>>>()?;
    check_addresses(raw, &entries, problems);
    let mut entries = entries.into_iter();
    Some(ServiceWorkload {
        front: entries.next()?,
        others: entries.collect(),
        runs: None,
    })
}

/// Reports addresses of services that do not exist, or are not started before the service that needs them: the first is started last.
fn check_addresses(raw: &RawWorkload, entries: &[ServiceEntry], problems: &mut Vec<Problem>) {
    let names: Vec<&Name> = entries.iter().map(|entry| &entry.spec.name).collect();
    for (index, (raw, entry)) in raw.services.iter().zip(entries).enumerate() {
        let parameters = match &entry.spec.source {
            ServiceSource::Named(named) => &named.parameters,
            ServiceSource::Inline(description) => &description.parameters,
            ServiceSource::Workload(_) => continue,
        };
        for (parameter, value) in parameters {
            let Parameter::Service(service) = value else { continue };
            let fault = match names.iter().position(|name| *name == service) {
                None => Fault::new(
                    format!("{parameter} is the address of {service}, and this workload has no such service"),
                    did_you_mean(service.as_str(), names.iter().map(|name| name.as_str())).map_or_else(
                        || "add it as [[workload.service]]".to_owned(),
                        |word| format!("did you mean {{{word}}}?"),
                    ),
                ),
                Some(other) if other == 0 || (index > 0 && other >= index) => Fault::new(
                    format!("{parameter} is the address of {service}, which is not started before"),
                    "write it above this service; the first service is started last",
                ),
                Some(_) => continue,
            };
            let field = &raw.inline.keys.parameters;
            TableCheck::new(&raw.keys.section, problems).error(field, fault);
        }
    }
}

/// One service.
fn entry(raw: &RawService, name: Option<Name>, place: Place, problems: &mut Vec<Problem>) -> Option<ServiceEntry> {
    let (protocol, source) = if raw.keys.description.is_absent() {
        if let Some(task) = &raw.inline.task {
            let fault = Fault::new(
                "a service does not end by itself",
                "remove it, or write kind = \"task\"",
            );
            TableCheck::new(&task.section, problems).table_error(fault);
        }
        let described = raw.inline.check_as(false, problems)?;
        (described.protocol, ServiceSource::Inline(Box::new(described)))
    } else {
        named(raw, problems)?
    };
    Some(ServiceEntry {
        protocol,
        spec: ServiceSpec {
            name: name?,
            place,
            source,
        },
    })
}

/// A service that the target host describes; what it speaks is checked against the description before the first trial.
fn named(raw: &RawService, problems: &mut Vec<Problem>) -> Option<(Transport, ServiceSource)> {
    let protocols = Transport::OF_SERVICES.map(|protocol| (protocol.as_str(), protocol));
    let mut table = TableCheck::new(&raw.keys.section, problems);
    let protocol = table.or(&raw.inline.keys.protocol, Transport::Http, value::choice(&protocols));
    let source = named_source(raw, problems);
    Some((protocol?, source?))
}

/// A description of the target host, with parameters.
pub(super) fn named_source(raw: &RawService, problems: &mut Vec<Problem>) -> Option<ServiceSource> {
    let mut table = TableCheck::new(&raw.keys.section, problems);
    let description = table.required(&raw.keys.description, "description = \"nginx\"", value::name);
    let parameters = table.or(&raw.inline.keys.parameters, BTreeMap::new(), description::parameters);
    for section in raw.inline.sections() {
        let fault = Fault::new(
            "the description is one of the target host",
            "remove this table, or remove `description` and describe the service here",
        );
        table.elsewhere(section).table_error(fault);
    }
    Some(ServiceSource::Named(NamedService {
        description: description?,
        parameters: parameters?,
    }))
}

/// Reports keys and tables of services under another kind.
pub(super) fn forbid(raw: &RawWorkload, problems: &mut Vec<Problem>) {
    let (what, remedy) = ("this key is for kind = \"service\"", "remove it");
    forbid_single(raw, what, remedy, problems);
    for service in &raw.services {
        TableCheck::new(&service.keys.section, problems)
            .table_error(Fault::new("only a workload of kind \"service\" has services", remedy));
    }
}

/// Reports keys and tables of the only service of a workload.
pub(super) fn forbid_single(raw: &RawWorkload, what: &str, remedy: &str, problems: &mut Vec<Problem>) {
    let service = &raw.service;
    let mut table = TableCheck::new(&raw.keys.section, problems);
    table.forbid(&service.keys.description, what, remedy);
    // `beside` is a key of jung, too, where it is a list.
    table.forbid(&service.inline.keys.protocol, what, remedy);
    table.forbid(&service.inline.keys.parameters, what, remedy);
    for section in service.inline.sections() {
        table
            .elsewhere(section)
            .table_error(Fault::new(what.replace("key", "table"), remedy));
    }
}

/// Reports cells whose platform a service of this file has no form for; on an optional platform they are left out.
pub(super) fn check_forms(raw: &RawExperiment, experiment: &mut Experiment, problems: &mut Vec<Problem>) {
    let mut skips: Vec<Skip> = Vec::new();
    for (index, entry) in experiment.described() {
        let ServiceSource::Inline(description) = &entry.spec.source else {
            continue;
        };
        let workload = &experiment.workloads[index];
        for (raw_platform, platform) in raw.platforms.iter().zip(&experiment.platforms) {
            let kind = if entry.spec.place.is_platform() {
                platform.spec.kind()
            } else {
                PlatformKind::Native
            };
            let is_used = experiment
                .loads
                .iter()
                .any(|load| !experiment.skips(&platform.name, workload, load));
            let Some(missing) = description.missing_form(kind).filter(|_| is_used) else {
                continue;
            };
            let what = format!("workload {} cannot run on it: {missing}", workload.name);
            let mut table = TableCheck::new(&raw_platform.section, problems);
            if platform.optional {
                table.warn(
                    &raw_platform.kind,
                    Fault::new(what, "its cells are left out, since the platform is optional"),
                );
                skips.push(Skip {
                    platform: Some(platform.name.clone()),
                    workload: Some(workload.name.clone()),
                    load: None,
                });
            } else {
                let remedy = "add a missing table, skip the pair by [[skip]], or write optional = true";
                table.error(&raw_platform.kind, Fault::new(what, remedy));
            }
        }
    }
    experiment.skips.extend(skips);
}

#[cfg(test)]
mod tests {
    use crate::config::WorkloadKind;
    use crate::config::testing::{experiment, problems};
    use crate::plan::Plan;

    use super::*;

    const REST: &str = "[experiment]\nname = 'x'\niterations = 1\n[[platform]]\nkind = 'native'\n\
                        [[load]]\nkind = 'rate'\nname = 'light'\nrate = 10\nduration = '10s'\n\
                        [[load]]\nkind = 'none'\nname = 'idle'\n";

    fn workload(text: &str) -> ServiceWorkload {
        let with_load = "[[workload]]\nkind = 'tcp'\nname = 'for-the-load'\n";
        let mut experiment = experiment(&format!("{REST}[[workload]]\nkind = 'service'\n{text}{with_load}")).unwrap();
        match experiment.workloads.remove(0).kind {
            WorkloadKind::Service(service) => *service,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_description_of_the_target_host_is_named() {
        let workload = workload("name = 'web'\ndescription = 'nginx'\nparameters = { port = 81, quiet = true }\n");
        assert_eq!(
            workload.summary(),
            "web: the target host's description nginx port=81 quiet=true"
        );
        assert_eq!(workload.front.protocol, Transport::Http);
    }

    #[test]
    fn a_service_is_described_in_the_file() {
        let text = "name = 'cache'\nprotocol = 'tcp'\nparameters = { port = 6379 }\n[[workload.file]]\npath = 'a'\ncontents = '{port}'\n\
                    [workload.native]\nprogram = 'redis-server'\n[workload.ready]\nkind = 'redis'\n";
        let workload = workload(text);
        assert_eq!(workload.front.protocol, Transport::Tcp);
        assert_eq!(
            workload.summary(),
            "cache: redis-server, as the experiment file describes it"
        );
        let ServiceSource::Inline(description) = &workload.front.spec.source else {
            panic!("not described here")
        };
        assert_eq!(description.files.len(), 1);
    }

    #[test]
    fn an_application_has_several_services() {
        let text = "name = 'shop'\n[[workload.service]]\ndescription = 'nginx'\n\
                    [[workload.service]]\nname = 'cache'\nbeside = true\ndescription = 'redis'\nprotocol = 'tcp'\n";
        let workload = workload(text);
        let names: Vec<&str> = workload.services().map(|entry| entry.spec.name.as_str()).collect();
        assert_eq!(names, ["nginx", "cache"]);
        assert_eq!(workload.others[0].spec.place, Place::Beside);
    }

    #[test]
    fn loads_go_to_services_that_speak_the_same() {
        let text = "[[workload]]\nkind = 'service'\nname = 'web'\ndescription = 'nginx'\n\
                    [[workload]]\nkind = 'service'\nname = 'cache'\ndescription = 'redis'\nprotocol = 'tcp'\n";
        let plan = Plan::new(&experiment(&format!("{REST}{text}")).unwrap());
        let cells: Vec<_> = plan.cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(cells, ["native.web.light", "native.web.idle", "native.cache.idle"]);
    }

    #[test]
    fn a_platform_without_a_form_is_refused_or_left_out() {
        let service = "[[workload]]\nkind = 'service'\nname = 'web'\nparameters = { port = 8080 }\n[workload.native]\nprogram = 'nginx'\n";
        let text = format!("{REST}[[platform]]\nkind = 'includeos'\n{service}");
        insta::assert_snapshot!(problems(&text));
        let optional = text.replace("kind = 'includeos'", "kind = 'includeos'\noptional = true");
        let plan = Plan::new(&experiment(&optional).unwrap());
        let cells: Vec<_> = plan.cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(cells, ["native.web.light", "native.web.idle"]);
        let skipped = format!("{text}[[skip]]\nplatform = 'includeos'\nworkload = 'web'\n");
        assert_eq!(Plan::new(&experiment(&skipped).unwrap()).cells.len(), 2);
    }

    #[test]
    fn an_address_is_that_of_a_service_that_is_started_before() {
        let service = |name: &str, parameters: &str| {
            format!("[[workload.service]]\nname = '{name}'\ndescription = 'nginx'\nparameters = {{ {parameters} }}\n")
        };
        let shop = |services: &str| format!("{REST}[[workload]]\nkind = 'service'\nname = 'shop'\n{services}");
        let good = [
            service("web", "up = '{app}'"),
            service("db", "port = 1"),
            service("app", "up = '{db}'"),
        ];
        experiment(&shop(&good.concat())).unwrap();
        let bad = [
            service("web", "up = '{web}'"),
            service("db", "up = '{app}'"),
            service("app", "up = '{web}'"),
            service("x", "up = '{ap}'"),
            service("y", "up = '{nothing}'"),
        ];
        insta::assert_snapshot!(problems(&shop(&bad.concat())));
    }

    #[test]
    fn what_does_not_fit_is_reported() {
        let text = "[[workload]]\nkind = 'service'\nname = 'a'\nport = 80\nreply_bytes = 5\ndescription = 'nginx'\nparameters = { 'a b' = 1 }\n\
                    [workload.native]\nprogram = 'x'\n\
                    [[workload]]\nkind = 'service'\nname = 'b'\n\
                    [[workload]]\nkind = 'tcp'\ndescription = 'nginx'\n[workload.ready]\nkind = 'http'\n\
                    [[workload]]\nkind = 'service'\nname = 'c'\nparameters = { port = 1 }\n[[workload.service]]\nbeside = true\n\
                    [[workload]]\nkind = 'service'\nname = 'd'\ndescription = 'nginx'\nbeside = true\nnative = 1\n";
        insta::assert_snapshot!(problems(&format!("{REST}{text}")));
    }
}
