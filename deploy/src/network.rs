//! Where services listen, and whether they can. The submodules manage the bridge that guests share with their host.

pub mod bridge;
pub mod interface;
mod netlink;
pub mod subnet;
mod veth;

pub(crate) use veth::AddressReservation;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use protocol::spec::Transport;

use crate::{DeployError, Service};

/// The address on which a service of this host listens to be reached at `host:port`: that address only, or, if it is not an address of this machine
/// (which may be behind a NAT), all addresses.
#[must_use]
pub fn listen_address(host: IpAddr, port: u16) -> SocketAddr {
    let is_foreign = TcpListener::bind((host, 0)).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable);
    match host {
        IpAddr::V4(_) if is_foreign => (Ipv4Addr::UNSPECIFIED, port).into(),
        IpAddr::V6(_) if is_foreign => (Ipv6Addr::UNSPECIFIED, port).into(),
        _ => (host, port).into(),
    }
}

/// Checks that all services can listen on their ports at the same time, and releases the ports again.
///
/// Connections of an earlier trial in TIME-WAIT do not count, since the standard library sets `SO_REUSEADDR`; a listener with `SO_REUSEPORT` does.
///
/// # Errors
/// [`DeployError::PortTaken`] with the service and the address, or the reason why a port cannot be used.
pub fn check_ports<'a>(services: impl IntoIterator<Item = (&'a Service, SocketAddr)>) -> Result<(), DeployError> {
    let claims: Result<Vec<ClaimedPort>, DeployError> = services
        .into_iter()
        .map(|(service, address)| claim(service, address))
        .collect();
    claims.map(drop)
}

/// Whether something listens on an address.
#[must_use]
pub fn is_taken(transport: Transport, address: SocketAddr) -> bool {
    ClaimedPort::new(transport, address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// A port that is held while this lives.
enum ClaimedPort {
    Tcp(#[expect(dead_code, reason = "holds the port")] TcpListener),
    Udp(#[expect(dead_code, reason = "holds the port")] UdpSocket),
}

impl ClaimedPort {
    fn new(transport: Transport, address: SocketAddr) -> io::Result<Self> {
        match transport {
            Transport::Tcp => TcpListener::bind(address).map(Self::Tcp),
            Transport::Udp => UdpSocket::bind(address).map(Self::Udp),
        }
    }
}

fn claim(spec: &Service, address: SocketAddr) -> Result<ClaimedPort, DeployError> {
    let service = &spec.name;
    if address.port() == 0 {
        return Err(DeployError::Unmet {
            need: format!("service {service} has port 0"),
            remedy: "give the workload a port from 1 to 65535".into(),
        });
    }
    ClaimedPort::new(spec.transport(), address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => DeployError::PortTaken {
            service: service.clone(),
            address,
        },
        io::ErrorKind::PermissionDenied => DeployError::Unmet {
            need: format!("no permission to listen on {address} for service {service}"),
            remedy: "give the workload a port from 1024 up, or run the runner as root".into(),
        },
        _ => DeployError::Io {
            what: format!("listening on {address} for service {service}"),
            source,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::spec::{ConnectsProbe, Probe, UdpProbe, WorkloadService};

    fn service(name: &str, port: u16) -> Service {
        let workload = WorkloadService {
            args: Vec::new(),
            port: Some(port),
            ready: Probe::Connects(ConnectsProbe {}),
        };
        Service::workload(name.parse().unwrap(), workload)
    }

    #[test]
    fn a_taken_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = check_ports([(&service("tcp", address.port()), address)])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("service tcp"),
            "{error}"
        );
        assert!(is_taken(Transport::Tcp, address));
        drop(listener);
        check_ports([(&service("tcp", address.port()), address)]).unwrap();
    }

    #[test]
    fn a_port_taken_on_all_addresses_is_taken_on_each() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_taken(Transport::Tcp, (Ipv4Addr::LOCALHOST, port).into()));
    }

    #[test]
    fn tcp_and_udp_ports_are_independent() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let tcp = service("tcp", address.port());
        let udp = Service {
            ready: Probe::Udp(UdpProbe {
                packet: "1".into(),
                answer: "1".into(),
            })
            .into(),
            ..service("udp", address.port())
        };
        assert!(is_taken(Transport::Udp, address) && !is_taken(Transport::Tcp, address));
        assert!(matches!(
            check_ports([(&udp, address)]).unwrap_err(),
            DeployError::PortTaken { .. }
        ));
        drop(socket);
        check_ports([(&tcp, address), (&udp, address)]).unwrap();
    }

    #[test]
    fn two_services_cannot_share_a_port() {
        let free = SocketAddr::from(([127, 0, 0, 1], testkit::free_port()));
        let (first, second) = (service("one", free.port()), service("two", free.port()));
        let error = check_ports([(&first, free), (&second, free)]).unwrap_err();
        assert!(
            matches!(error, DeployError::PortTaken { ref service, .. } if service.as_str() == "two"),
            "{error}"
        );
    }

    #[test]
    fn port_zero_is_refused() {
        let error = check_ports([(&service("tcp", 0), "127.0.0.1:0".parse().unwrap())]).unwrap_err();
        assert!(error.to_string().contains("1 to 65535"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_means_all_addresses() {
        assert_eq!(
            listen_address("127.0.0.1".parse().unwrap(), 7).to_string(),
            "127.0.0.1:7"
        );
        assert_eq!(listen_address("192.0.2.1".parse().unwrap(), 7).to_string(), "0.0.0.0:7");
    }
}
