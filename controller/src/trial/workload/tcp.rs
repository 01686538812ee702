//! The service of the workload `tcp`.

use protocol::Name;
use protocol::spec::{HttpProbe, Probe, ServiceSpec};
use protocol::surroundings::Place;

use super::Asked;
use crate::config::TcpWorkload;

pub(super) fn asked(name: &Name, tcp: &TcpWorkload) -> Asked {
    let size = tcp.reply_bytes.to_string();
    let service = ServiceSpec {
        name: name.clone(),
        args: ["tcp", "--listen", "{listen}", "--reply-bytes", &size]
            .map(str::to_owned)
            .to_vec(),
        place: Place::Platform,
        port: Some(tcp.port),
        ready: Probe::Http(HttpProbe {
            path: "/".to_owned(),
            status: 200,
            body_bytes: Some(tcp.reply_bytes),
        }),
    };
    Asked {
        services: vec![service],
        broker: None,
        seed: None,
        front: name.clone(),
    }
}
