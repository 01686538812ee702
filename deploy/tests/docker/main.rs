//! The Docker driver with an engine and the static workload.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bridge;
mod described;
mod ends;
mod engine;
mod gateway;
mod lab;
mod limits;
mod runtimes;
#[path = "../services/mod.rs"]
mod services;
mod sweep;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use deploy::{DeployError, Driver, ready};
use lab::{Lab, name};
use protocol::size::{Part, totals};
use protocol::spec::DockerSpec;
use protocol::summary::Exit;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs Docker"]
async fn services_on_the_bridge_reply_and_are_removed() {
    let lab = Lab::new(DockerSpec::default());
    let deployment = lab.deployment(&[lab.tcp("one", &[]), lab.udp("two")]);
    lab.driver.prepare(&deployment).await.unwrap();
    let running = lab.driver.start(&deployment).await.unwrap();
    let started = running.services().to_vec();
    assert_eq!(
        ready::wait(&deployment, &lab.runner, &started, LONG)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_ne!(started[0].endpoint.unwrap().ip(), started[1].endpoint.unwrap().ip());
    assert!(!started[0].endpoint.unwrap().ip().is_loopback());
    assert_eq!(running.pids(&name("one")), [started[0].pid]);
    assert!(lab::alive(started[0].pid));
    assert_eq!(running.deviations(), [] as [String; 0]);
    assert_eq!(lab.containers().await.len(), 2);

    let stopped = running.stop().await;
    assert_eq!(
        stopped.exits,
        [(name("one"), Exit::Code(0)), (name("two"), Exit::Code(0))]
    );
    let program = std::fs::metadata(services::workload()).unwrap().len();
    let totals = totals(stopped.sizes.iter().flat_map(|(_, sizes)| sizes));
    assert_eq!(
        totals,
        BTreeMap::from([(Part::Layer, program), (Part::Written, 0)]),
        "one layer for both"
    );
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    assert_eq!(lab.containers().await, [] as [String; 0]);
    assert!(!lab::alive(started[0].pid));
    assert!(lab.log("one").contains("listening on"), "{:?}", lab.log("one"));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_published_port_is_reached_at_the_hosts_address_and_released() {
    let lab = Lab::new(DockerSpec {
        publish: true,
        image: None,
        ..DockerSpec::default()
    });
    let deployment = lab.deployment(&[lab.tcp("web", &[])]);
    let running = lab.driver.start(&deployment).await.unwrap();
    let started = running.services().to_vec();
    assert_eq!(started[0].endpoint.unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
    ready::wait(&deployment, &lab.runner, &started, LONG).await.unwrap();

    let second = Lab::new(DockerSpec {
        publish: true,
        image: None,
        ..DockerSpec::default()
    });
    let taken = second
        .driver
        .start(&second.deployment(&deployment.services))
        .await
        .unwrap_err();
    assert!(
        matches!(&taken, DeployError::PortTaken { service, .. } if service.as_str() == "web"),
        "{taken}"
    );

    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
    std::net::TcpListener::bind(started[0].endpoint.unwrap()).unwrap();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_image_is_built_once_and_reported() {
    let lab = Lab::new(DockerSpec::default());
    let deployment = lab.deployment(&[]);
    lab.driver.prepare(&deployment).await.unwrap();
    let facts = lab.driver.probe().await;
    assert_eq!(facts.unmet, None);
    for key in [
        "engine",
        "engine_api",
        "client_api",
        "storage_driver",
        "cgroup_driver",
        "cgroup_version",
        "image",
    ] {
        assert!(facts.details.contains_key(key), "{key} in {:?}", facts.details);
    }
    assert!(facts.details["image"].starts_with("jung-workload:"));
    lab.driver.prepare(&deployment).await.unwrap();
    assert_eq!(lab.driver.probe().await.details["image_id"], facts.details["image_id"]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_missing_image_is_never_pulled() {
    let image = "jung-nowhere:latest";
    let lab = Lab::new(DockerSpec {
        publish: false,
        image: Some(image.into()),
        ..DockerSpec::default()
    });
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    let error = lab.driver.prepare(&deployment).await.unwrap_err();
    assert!(
        matches!(&error, DeployError::ImageMissing { image: missing, .. } if missing == image),
        "{error}"
    );
    assert!(error.to_string().contains("docker pull"), "{error}");
    assert!(lab.driver.probe().await.unmet.unwrap().need.contains(image));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_existing_image_is_used_by_its_name() {
    let builder = Lab::new(DockerSpec::default());
    builder.driver.prepare(&builder.deployment(&[])).await.unwrap();
    let image = builder.driver.probe().await.details["image"].clone();
    let lab = Lab::new(DockerSpec {
        publish: false,
        image: Some(image),
        ..DockerSpec::default()
    });
    let deployment = lab.deployment(&[lab.tcp("web", &[])]);
    let running = lab.driver.start(&deployment).await.unwrap();
    ready::wait(&deployment, &lab.runner, running.services(), LONG)
        .await
        .unwrap();
    assert_eq!(running.stop().await.exits, [(name("web"), Exit::Code(0))]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_udp_service_is_reached_on_a_published_port_and_releases_it() {
    let lab = Lab::new(DockerSpec {
        publish: true,
        image: None,
        ..DockerSpec::default()
    });
    let deployment = lab.deployment(&[lab.udp("udp")]);
    lab.driver.prepare(&deployment).await.unwrap();
    let running = lab.driver.start(&deployment).await.unwrap();
    let started = running.services().to_vec();
    assert_eq!(started[0].endpoint.map(|at| at.port()), deployment.services[0].port);
    ready::wait(&deployment, &lab.runner, &started, LONG).await.unwrap();
    let again = lab.driver.start(&deployment).await.unwrap_err();
    assert!(matches!(again, DeployError::PortTaken { .. }), "{again}");
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
}
