//! Other OCI runtimes than Docker's default, and Podman: services are started, limited, sampled and removed like any container.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use deploy::procfs::Procfs;
use deploy::{DeploymentSpec, Driver, ready};
use protocol::facts::Unmet;
use protocol::spec::{DockerSpec, Resources};
use protocol::summary::Exit;

use crate::LONG;
use crate::engine::Engine;
use crate::lab::{Lab, name};

fn spec(engine: &Engine, runtime: Option<&str>) -> DockerSpec {
    DockerSpec {
        engine: engine.kind,
        runtime: runtime.map(|runtime| runtime.parse().unwrap()),
        socket: Some(engine.socket.clone()),
        ..DockerSpec::default()
    }
}

/// Why the platform cannot be used with a runtime.
async fn unmet(engine: &Engine, runtime: &str) -> Unmet {
    let facts = Lab::new(spec(engine, Some(runtime))).driver.probe().await;
    facts.unmet.unwrap()
}

fn limited(lab: &Lab) -> DeploymentSpec {
    let mut deployment = lab.deployment(&[lab.tcp("one", &[]), lab.tcp("two", &[])]);
    deployment.resources = Resources {
        cpuset: Some("0".parse().unwrap()),
        memory_mib: Some(64),
        ..Resources::default()
    };
    deployment
}

/// The processes whose cgroup's path contains a text, such as a container's id.
fn processes(text: &str) -> Vec<u32> {
    let procfs = Procfs::default();
    let mut pids = procfs.pids();
    pids.retain(|&pid| procfs.cgroups(pid).is_some_and(|cgroups| cgroups.contains(text)) && procfs.is_alive(pid));
    pids
}

/// Runs two services under limits: both become ready, are found, stop gracefully and are removed.
async fn run_two_services(lab: &Lab, processes_of_one: usize) {
    let deployment = limited(lab);
    lab.driver.prepare(&deployment).await.unwrap();
    let running = lab.driver.start(&deployment).await.unwrap();
    let started = running.services().to_vec();
    ready::wait(&deployment, &lab.runner, &started, LONG).await.unwrap();
    let containers = lab.containers().await;
    assert_eq!(containers.len(), 2);
    for started in &started {
        let pids = running.pids(&started.service);
        assert!(pids.contains(&started.pid), "{started:?} in {pids:?}");
        assert_eq!(pids.len(), processes_of_one, "{pids:?}");
        for pid in pids {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        }
    }
    assert_eq!(running.deviations(), [] as [String; 0]);
    let stopped = running.stop().await;
    assert_eq!(
        stopped.exits,
        [(name("one"), Exit::Code(0)), (name("two"), Exit::Code(0))]
    );
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    assert_eq!(lab.containers().await, [] as [String; 0]);
    for container in containers {
        assert_eq!(processes(&container), [] as [u32; 0]);
    }
    assert!(lab.log("one").contains("listening on"), "{:?}", lab.log("one"));
}

#[test]
#[ignore = "needs Docker, crun, runsc and root"]
fn every_runtime_of_an_engine_runs_services_and_reports_its_version() {
    let engine = Engine::docker(None);
    engine.within(|| async {
        // gVisor has the gofer, the sandbox, and a stub for each of sandbox and service.
        for (runtime, version, processes_of_one) in [
            ("runc", None, 1),
            ("crun", Some("crun version"), 1),
            ("runsc", Some("runsc version"), 4),
        ] {
            let lab = Lab::new(spec(&engine, Some(runtime)));
            let facts = lab.driver.probe().await;
            assert_eq!(facts.unmet, None);
            assert_eq!(facts.details["runtime"], runtime);
            if let Some(version) = version {
                assert!(facts.details["runtime_version"].starts_with(version), "{facts:?}");
            }
            run_two_services(&lab, processes_of_one).await;
        }
    });
}

#[test]
#[ignore = "needs Podman, crun and root"]
fn podman_runs_services() {
    let engine = Engine::podman("crun");
    engine.within(|| async {
        let lab = Lab::new(spec(&engine, None));
        let facts = lab.driver.probe().await;
        assert_eq!((facts.unmet, facts.details["runtime"].as_str()), (None, "crun"));
        assert!(facts.details.contains_key("podman_engine"), "{:?}", facts.details);
        run_two_services(&lab, 1).await;
        // Its own runtime can be configured; another is refused by the probe.
        assert_eq!(Lab::new(spec(&engine, Some("crun"))).driver.probe().await.unmet, None);
        let unmet = unmet(&engine, "runc").await;
        assert!(
            unmet.remedy.contains("podman --runtime runc system service"),
            "{unmet:?}"
        );
    });
}

#[test]
#[ignore = "needs Podman, runsc and root"]
fn podman_with_gvisor_runs_services() {
    let engine = Engine::podman("runsc");
    engine.within(|| async { run_two_services(&Lab::new(spec(&engine, Some("runsc"))), 4).await });
}

#[test]
#[ignore = "needs Docker, Podman, crun and root"]
fn dropping_and_sweeping_remove_containers_and_oom_kills_are_reported() {
    for engine in [Engine::docker(None), Engine::podman("crun")] {
        engine.within(|| async {
            let lab = Lab::new(spec(&engine, Some("crun")));
            let deployment = limited(&lab);
            let running = lab.driver.start(&deployment).await.unwrap();
            assert_eq!(lab.containers().await.len(), 2);
            drop(running);
            lab.wait_for_containers(0).await;

            // Like SIGKILL: no destructor runs. Then a runner of the same name sweeps.
            std::mem::forget(lab.driver.start(&limited(&lab)).await.unwrap());
            let restarted = Lab::of_runner(spec(&engine, None), lab.runner.clone());
            let found = restarted.driver.sweep().await.unwrap();
            assert_eq!(found.len(), 2, "{found:?}");
            assert_eq!(lab.containers().await, [] as [String; 0]);
            assert_eq!(restarted.driver.sweep().await.unwrap(), [] as [String; 0]);

            let mut large = lab.deployment(&[lab.tcp("large", &["--reply-bytes", "67108864"])]);
            large.resources.memory_mib = Some(16);
            match lab.driver.start(&large).await {
                Ok(mut running) => {
                    assert_eq!(running.ended().await.1, Exit::OutOfMemory);
                    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
                }
                Err(error) => assert!(error.to_string().contains("killed for memory"), "{error}"),
            }
            assert_eq!(lab.containers().await, [] as [String; 0]);
        });
    }
}

#[test]
#[ignore = "needs Docker and root"]
fn a_runtime_that_fails_to_start_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.sh");
    // It creates the container and fails to start it; then the engine drops its record while its processes live on.
    let script = "#!/bin/sh\nfor word in \"$@\"; do [ \"$word\" != start ] || { echo no start today >&2; exit 1; }; done\nexec runc \"$@\"\n";
    std::fs::write(&broken, script).unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    let engine = Engine::docker(Some(&format!("broken={}", broken.display())));
    engine.within(|| async {
        let lab = Lab::new(spec(&engine, Some("broken")));
        let deployment = lab.deployment(&[lab.tcp("one", &[])]);
        lab.driver.prepare(&deployment).await.unwrap();
        let usual = Lab::new(spec(&engine, None));
        let running = usual
            .driver
            .start(&usual.deployment(&[usual.tcp("two", &[])]))
            .await
            .unwrap();
        assert_ne!(processes(&engine.cgroup()), [] as [u32; 0]);
        running.stop().await;
        let error = lab.driver.start(&deployment).await.unwrap_err().to_string();
        assert!(error.contains("no start today"), "{error}");
        assert_eq!(lab.containers().await, [] as [String; 0]);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(processes(&engine.cgroup()), [] as [u32; 0]);

        let unmet = unmet(&engine, "kata").await;
        assert!(
            unmet.need.contains("no runtime kata") && unmet.remedy.contains("daemon.json"),
            "{unmet:?}"
        );
    });
}
