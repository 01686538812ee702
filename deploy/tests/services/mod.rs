//! The workload's services as `ServiceSpec`s.

use std::path::{Path, PathBuf};

use protocol::spec::Place;
use protocol::spec::{HttpProbe, Probe, ServiceSpec, UdpProbe};

/// `workload tcp` on a port, with further arguments.
pub fn tcp(service: &str, port: u16, more: &[&str]) -> ServiceSpec {
    let args = ["tcp", "--listen", "{listen}"].iter().chain(more);
    ServiceSpec {
        name: service.parse().unwrap(),
        args: args.map(ToString::to_string).collect(),
        place: Place::Platform,
        port: Some(port),
        ready: Probe::Http(HttpProbe {
            path: "/".into(),
            status: 200,
            body_bytes: Some(1000),
        }),
    }
}

/// `workload udp` on a port, which prepends so many letters to the packet that it answers.
pub fn udp(service: &str, port: u16, letters: usize) -> ServiceSpec {
    let args = ["udp", "--listen", "{listen}", "--reply-bytes", &letters.to_string()];
    ServiceSpec {
        args: args.map(str::to_owned).to_vec(),
        ready: Probe::Udp(UdpProbe {
            packet: "12345678".into(),
            answer: format!("{}12345678", "A".repeat(letters)),
        }),
        ..tcp(service, port, &[])
    }
}

/// The static workload: `JUNG_TEST_WORKLOAD`, or the output of deploy/build-workload.sh.
pub fn workload() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let path = std::env::var_os("JUNG_TEST_WORKLOAD").map_or(target.join("static/workload"), PathBuf::from);
    assert!(
        path.exists(),
        "{} does not exist: run deploy/build-workload.sh",
        path.display()
    );
    path
}
