//! How containers reach this host, on engines that were never restarted: a first start on an empty data root differs from every later one.

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
        engine: engine.whose,
        socket: Some(engine.socket.clone()),
        ..DockerSpec::default()
    })
}

/// The networks of the only container, as the engine knows them once it runs.
async fn networks(lab: &Lab) -> HashMap<String, EndpointSettings> {
    let container = lab.containers().await.remove(0);
    let inspect = lab.engine.inspect_container(&container, None).await.unwrap();
    inspect.network_settings.unwrap().networks.unwrap()
}

/// Finds the door before there is a container, as a runner does, and holds it against what a container is then given.
async fn is_the_containers_gateway(lab: &Lab) -> IpAddr {
    let before = lab.driver.host_gateway().await.unwrap().unwrap();
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    let running = lab.driver.start(&deployment).await.unwrap();
    ready::wait(&deployment.services, running.services(), LONG)
        .await
        .unwrap();
    let given: Vec<IpAddr> = networks(lab)
        .await
        .values()
        .map(|network| network.gateway.clone().unwrap().parse().unwrap())
        .collect();
    assert_eq!(given, [before.seen]);
    let now = lab.driver.host_gateway().await.unwrap().unwrap();
    // The bridge is here by now, with this address.
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
fn a_first_start_with_any_address() {
    for (options, expected) in [
        ("", None),
        ("--bip 10.213.77.5/24", Some("10.213.77.5")),
        ("--ipv6 --fixed-cidr-v6 fd00:213::/64", None),
    ] {
        let engine = Engine::docker_with(options);
        engine.within(|| async {
            let gateway = is_the_containers_gateway(&lab_of(&engine)).await;
            if let Some(expected) = expected {
                assert_eq!(gateway.to_string(), expected);
            }
        });
    }
}

#[test]
#[ignore = "needs Podman, crun and root"]
fn podmans_bridge_is_not_there_before_its_first_container() {
    let engine = Engine::podman("crun");
    engine.within(|| async {
        is_the_containers_gateway(&lab_of(&engine)).await;
    });
}

#[test]
#[ignore = "needs Docker and root"]
fn where_there_is_none_the_refusal_says_what_to_do() {
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
