//! Why no broker answers: librdkafka only says that the transport failed, so each address is tried by hand.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long each address may take.
const WITHIN: Duration = Duration::from_secs(1);

/// What a plain connection to each broker of the list meets, in words.
pub(super) fn unreachable(brokers: &str) -> String {
    let each: Vec<String> = brokers
        .split(',')
        .map(|broker| format!("{}: {}", broker.trim(), meet(broker.trim())))
        .collect();
    each.join("; ")
}

fn meet(broker: &str) -> String {
    // A protocol may stand in front (`SASL_SSL://host:port`).
    let address = broker.rsplit_once("//").map_or(broker, |(_, address)| address);
    let resolved = match address.to_socket_addrs() {
        Ok(mut addresses) => addresses.next(),
        Err(error) => return format!("is no address, {error}"),
    };
    let Some(address) = resolved else {
        return "has no address".to_owned();
    };
    match TcpStream::connect_timeout(&address, WITHIN) {
        Ok(_) => "takes connections but does not answer as a Kafka that these options fit (TLS, SASL?)".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn each_broker_has_its_reason() {
        let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = deaf.local_addr().unwrap().port();
        let why = unreachable(&format!("127.0.0.1:1, 127.0.0.1:{port},nonsense"));
        assert!(why.starts_with("127.0.0.1:1: Connection refused"), "{why}");
        assert!(
            why.contains("takes connections but") && why.contains("nonsense: is no address"),
            "{why}"
        );
    }
}
