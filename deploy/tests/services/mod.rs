//! The workload's services as `Service`s.

use std::path::{Path, PathBuf};

use deploy::{Program, Service};
use protocol::spec::{HttpProbe, Probe, UdpProbe};

/// `workload tcp` on a port, with further arguments.
pub fn tcp(service: &str, port: u16, more: &[&str]) -> Service {
    let args = ["tcp", "--listen", "{listen}"].iter().chain(more);
    let ready = Probe::Http(HttpProbe {
        path: "/".into(),
        status: 200,
        body_bytes: Some(1000),
        body: None,
    });
    Service {
        name: service.parse().unwrap(),
        port: Some(port),
        ready: ready.into(),
        program: Program::Workload(args.map(ToString::to_string).collect()),
    }
}

/// `workload udp` on a port, which prepends so many letters to the packet that it answers.
pub fn udp(service: &str, port: u16, letters: usize) -> Service {
    let args = ["udp", "--listen", "{listen}", "--reply-bytes", &letters.to_string()];
    let ready = Probe::Udp(UdpProbe {
        packet: "12345678".into(),
        answer: format!("{}12345678", "A".repeat(letters)),
    });
    Service {
        ready: ready.into(),
        program: Program::Workload(args.map(str::to_owned).to_vec()),
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
