//! The service of the workload `tcp`, or several of it.

use protocol::Name;
use protocol::spec::{HttpProbe, Place, Probe, ServiceSource, ServiceSpec, WorkloadService};

use super::Asked;
use crate::config::TcpWorkload;

/// So many services on ports in a row; the load goes to the first.
pub(super) fn asked(name: &Name, tcp: &TcpWorkload) -> Asked {
    let services: Vec<ServiceSpec> = (0..tcp.copies)
        .map(|number| service(numbered(name, number, tcp.copies), tcp, tcp.port.saturating_add(number)))
        .collect();
    let front = services
        .first()
        .map_or_else(|| name.clone(), |first| first.name.clone());
    Asked {
        services,
        broker: None,
        seed: None,
        front,
    }
}

/// The name itself for one, `name-01`, `name-02`, ... for several; a name that is too long for its number is cut.
fn numbered(name: &Name, number: u16, of: u16) -> Name {
    if of == 1 {
        return name.clone();
    }
    let end = format!("-{:02}", number + 1);
    let kept = name.as_str().len().min(Name::MAX - end.len());
    let numbered = format!("{}{end}", &name.as_str()[..kept]);
    numbered.parse().unwrap_or_else(|_| name.clone())
}

fn service(name: Name, tcp: &TcpWorkload, port: u16) -> ServiceSpec {
    let size = tcp.reply_bytes.to_string();
    ServiceSpec {
        name,
        place: Place::Platform,
        source: ServiceSource::Workload(WorkloadService {
            args: ["tcp", "--listen", "{listen}", "--reply-bytes", &size]
                .map(str::to_owned)
                .to_vec(),
            port: Some(port),
            ready: Probe::Http(HttpProbe {
                path: "/".to_owned(),
                status: 200,
                body_bytes: Some(tcp.reply_bytes),
                body: None,
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_have_names_and_ports_of_their_own() {
        let of = |copies, name: &str| {
            let tcp = TcpWorkload {
                copies,
                port: 8080,
                reply_bytes: 10,
            };
            asked(&name.parse().unwrap(), &tcp)
        };
        let one = of(1, "tcp");
        assert_eq!((one.services.len(), one.front.as_str()), (1, "tcp"));
        let many = of(30, &"x".repeat(63));
        let ServiceSource::Workload(last) = &many.services[29].source else {
            panic!("not of the workload program")
        };
        assert_eq!(last.port, Some(8109));
        let mut names: Vec<_> = many.services.iter().map(|service| service.name.as_str()).collect();
        assert!(names[29].ends_with("x-30") && many.front.as_str() == names[0]);
        names.dedup();
        assert_eq!(names.len(), 30);
    }
}
