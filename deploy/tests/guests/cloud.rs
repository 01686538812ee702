//! A Linux guest with a complete Debian on its disk, configured by cloud-init.

use deploy::Driver;
use protocol::size::{Part, totals};
use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, name, ready, reports_its_exit_code, tcp, user};

/// The first trial is on a bridge, the second behind a forwarded port.
#[tokio::test]
#[ignore = "needs QEMU"]
async fn two_consecutive_trials_are_independent() {
    let mut lab = Lab::new(bridge());
    let disk = lab.debian();
    let services = [tcp("one_a")];
    let before = std::fs::metadata(&disk).unwrap();
    for network in [bridge(), user()] {
        lab.network = network;
        let deployment = lab.deployment("debian", &services);
        let driver = lab.driver("debian");
        driver.prepare(&deployment).await.unwrap();
        let mut running = driver.start(&deployment).await.unwrap();
        ready(&services, &mut running).await.unwrap();
        let endpoint = running.services()[0].endpoint.unwrap();
        assert_eq!(endpoint.ip() == lab.host.address, lab.network == user(), "{endpoint}");
        ask(endpoint, 20).await;
        let stopped = running.stop().await;
        assert_eq!(stopped.exits, [(name("one_a"), Exit::Code(0))], "{}", lab.log("one_a"));
        assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
        let totals = totals(stopped.sizes.iter().flat_map(|(_, sizes)| sizes));
        assert!(
            totals[&Part::Written] > 1 << 20,
            "a first boot writes a lot: {totals:?}"
        );
        assert!(totals[&Part::Disk] > 100 << 20, "{totals:?}");
        let parts: Vec<_> = totals.keys().copied().collect();
        assert_eq!(
            parts,
            [Part::Program, Part::Kernel, Part::Initrd, Part::Disk, Part::Written]
        );
        lab.assert_clean().await;
    }
    let after = std::fs::metadata(&disk).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(lab.log("one_a").matches("jung: started one_a").count(), 2);
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_exit_code_of_a_failed_workload_is_reported() {
    let lab = Lab::new(user());
    lab.debian();
    reports_its_exit_code(&lab, "debian").await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_runner_logs_in_and_starts_the_service() {
    // Whole runs also cover the bridge (controller/tests/e2e/guests.rs).
    let lab = Lab::new(user());
    lab.debian_with("start = 'ssh'");
    let services = [tcp("one")];
    let deployment = lab.deployment("debian", &services);
    let driver = lab.driver("debian");
    driver.prepare(&deployment).await.unwrap();
    let mut running = driver.start(&deployment).await.unwrap();
    ready(&services, &mut running).await.unwrap();
    ask(running.services()[0].endpoint.unwrap(), 20).await;
    assert!(
        running
            .deviations()
            .iter()
            .any(|deviation| deviation.contains("over SSH"))
    );
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    let log = lab.log("one");
    let (up, started) = (log.find("jung: started ssh"), log.find("jung: started one"));
    assert!(up.is_some() && started > up, "{log}");
    lab.assert_clean().await;
}
