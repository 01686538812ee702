//! How containers reach this host, on engines in their first start on an empty data root, which differs from every later one.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::EndpointSettings;
use deploy::{DeployError, Driver, HostGateway, ready};
use protocol::spec::DockerSpec;

use crate::LONG;
use crate::engine::Engine;
use crate::lab::Lab;

fn lab_of(engine: &Engine) -> Lab {
    Lab::new(DockerSpec {
        engine: engine.kind,
        socket: Some(engine.socket.clone()),
        ..DockerSpec::default()
    })
}

/// The networks of the only container, which is running.
async fn networks(lab: &Lab) -> HashMap<String, EndpointSettings> {
    let container = lab.containers().await.remove(0);
    let inspect = lab.engine.inspect_container(&container, None).await.unwrap();
    inspect.network_settings.unwrap().networks.unwrap()
}

/// The host's address as found before the first container, as a runner does. It must be the container's gateway.
async fn host_gateway(lab: &Lab) -> IpAddr {
    let before = lab.driver.host_gateway().await.unwrap().unwrap();
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    let running = lab.driver.start(&deployment).await.unwrap();
    ready::wait(&deployment, &lab.runner, running.services(), LONG)
        .await
        .unwrap();
    let gateways: Vec<IpAddr> = networks(lab)
        .await
        .values()
        .map(|network| network.gateway.clone().unwrap().parse().unwrap())
        .collect();
    assert_eq!(gateways, [before.seen]);
    let now = lab.driver.host_gateway().await.unwrap().unwrap();
    // By now the bridge exists and has this address.
    let expected = HostGateway {
        bind: before.seen,
        seen: before.seen,
    };
    assert_eq!(now, expected);
    running.stop().await;
    before.seen
}

#[test]
#[ignore = "needs Docker and root"]
fn the_gateway_is_found_at_the_first_start() {
    for (options, expected) in [
        ("", None),
        ("--bip 10.213.77.5/24", Some("10.213.77.5")),
        ("--ipv6 --fixed-cidr-v6 fd00:213::/64", None),
    ] {
        let engine = Engine::docker_with(options);
        engine.within(|| async {
            let gateway = host_gateway(&lab_of(&engine)).await;
            if let Some(expected) = expected {
                assert_eq!(gateway.to_string(), expected);
            }
        });
    }
}

#[test]
#[ignore = "needs Podman, crun and root"]
fn the_gateway_is_found_before_podman_creates_its_bridge() {
    let engine = Engine::podman("crun");
    engine.within(|| async {
        host_gateway(&lab_of(&engine)).await;
    });
}

#[test]
#[ignore = "needs Docker and root"]
fn an_engine_without_a_gateway_is_refused_with_a_remedy() {
    let unmet = |error: DeployError| match error {
        DeployError::Unmet { need, remedy } => (need, remedy),
        other => panic!("{other}"),
    };
    let engine = Engine::docker_with("--bridge none");
    engine.within(|| async {
        let (need, remedy) = unmet(lab_of(&engine).driver.host_gateway().await.unwrap_err());
        assert!(need.contains("--bridge none"), "{need}");
        assert!(remedy.contains("network = \"bridge\""), "{remedy}");
    });
    let outside = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (need, remedy) = unmet(outside.block_on(lab_of(&engine).driver.host_gateway()).unwrap_err());
    assert!(need.contains("another network namespace"), "{need}");
    assert!(remedy.contains("nsenter"), "{remedy}");
}
