//! The engine of a part of a load.

use std::net::SocketAddr;

use protocol::load::{LoadSpec, Prepare, TargetSpec};
use protocol::spec::{CpuSet, Probe, UdpProbe};

use crate::load::{BodyRule, Engine, Expect, LoadError, Part, Wait};
use crate::loaders::wire::order::{load_kind, mix};
use crate::trial::engine::{Shot, engine};
use crate::trial::load::reach;
use crate::trial::workload::dataset::{self, Ledger, Lists};

/// The engine that PREPARE asks for, on the loader's own CPUs if it has some. What the services accept goes into the ledger.
///
/// # Errors
/// What is wrong with the plan.
pub fn ordered(
    prepare: &Prepare,
    pinned: Option<&CpuSet>,
    ledger: &Ledger,
) -> Result<Box<dyn Engine + Send>, LoadError> {
    let cpus = pinned.map_or(prepare.cpus.as_slice(), CpuSet::cpus);
    let kind = load_kind(&prepare.load, cpus.iter().map(|&cpu| cpu as usize).collect());
    let shot = Shot {
        kind: &kind,
        wait: if prepare.spin { Wait::Spin } else { Wait::Sleep },
        part: Part::new(prepare.part.index, prepare.part.of).ok_or(LoadError::Users("there is no such part"))?,
        seed: prepare.seed,
    };
    let service = |body| engine(shot, prepare.address, &Expect { status: 200, body });
    match &prepare.target {
        TargetSpec::Letters(letters) => service(BodyRule::Repeat {
            byte: b'A',
            count: letters.count,
        }),
        TargetSpec::Echo(_) => service(BodyRule::Any),
        TargetSpec::Jung(spec) => {
            let lists = Lists {
                devices: spec.devices,
                mix: mix(spec),
            };
            dataset::engine(shot, lists, prepare.address, ledger)
        }
    }
}

/// Opens one connection to the service, or exchanges one packet with it.
///
/// # Errors
/// What is wrong, with the remedy.
pub async fn touch(prepare: &Prepare) -> Result<(), String> {
    let address: SocketAddr = prepare.address;
    match prepare.load {
        LoadSpec::Udp(_) => {
            let probe = Probe::Udp(UdpProbe {
                packet: "12345678".to_owned(),
                answer: String::new(),
            });
            reach(Some(&probe), address).await
        }
        _ => reach(None, address).await,
    }
}
