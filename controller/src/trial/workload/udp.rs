//! The service of the workload `udp`.

use protocol::Name;
use protocol::spec::{Place, Probe, ServiceSource, ServiceSpec, UdpProbe, WorkloadService};

use super::Asked;
use crate::config::UdpWorkload;

/// The packet that asks whether the service is there.
const PROBE: &str = "are you?";

pub(super) fn asked(name: &Name, udp: &UdpWorkload) -> Asked {
    let letters = udp.letters.map_or(0, |letters| letters as usize);
    let service = ServiceSpec {
        name: name.clone(),
        place: Place::Platform,
        source: ServiceSource::Workload(WorkloadService {
            args: args(udp),
            port: Some(udp.port),
            ready: Probe::Udp(UdpProbe {
                packet: PROBE.to_owned(),
                answer: "A".repeat(letters) + PROBE,
            }),
        }),
    };
    Asked {
        services: vec![service],
        broker: None,
        seed: None,
        front: name.clone(),
    }
}

fn args(udp: &UdpWorkload) -> Vec<String> {
    let mut args = ["udp", "--listen", "{listen}", "--sockets"].map(str::to_owned).to_vec();
    args.push(udp.sockets.to_string());
    match udp.letters {
        Some(letters) => args.extend(["--reply-bytes".to_owned(), letters.to_string()]),
        None => args.push("--echo".to_owned()),
    }
    if let Some(bytes) = udp.receive_buffer {
        args.extend(["--receive-buffer".to_owned(), bytes.to_string()]);
    }
    args
}
