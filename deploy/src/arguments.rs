//! A service's argument list with its listen address filled in.

use std::net::SocketAddr;

use protocol::spec::ServiceSpec;

/// The service's arguments with `{listen}` replaced by its listen address, if it has one. They are passed to the program as they are: no shell parses them.
#[must_use]
pub fn service_args(service: &ServiceSpec, listen: Option<SocketAddr>) -> Vec<String> {
    let Some(listen) = listen else {
        return service.args.clone();
    };
    service
        .args
        .iter()
        .map(|arg| arg.replace("{listen}", &listen.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::spec::Place;
    use protocol::spec::{Probe, StartedProbe};

    #[test]
    fn the_address_is_filled_in_and_nothing_else() {
        let service = ServiceSpec {
            name: "tcp".parse().unwrap(),
            args: ["tcp", "--listen={listen}", "{port}", "; rm -rf $HOME"]
                .map(String::from)
                .into(),
            place: Place::Platform,
            port: Some(7),
            ready: Probe::Started(StartedProbe {}),
        };
        let args = service_args(&service, Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!(args, ["tcp", "--listen=127.0.0.1:7", "{port}", "; rm -rf $HOME"]);
        assert_eq!(service_args(&service, None), service.args, "it has no listen address");
    }
}
