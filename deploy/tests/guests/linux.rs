//! A Linux guest: kernel, initramfs, `guest-init` and the workload.

use std::collections::BTreeSet;

use deploy::Driver;
use deploy::guest::GuestEnd;
use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, eventually, name, ready, reports_its_exit_code, tcp, user};

#[tokio::test]
#[ignore = "needs QEMU"]
async fn two_consecutive_trials_serve_over_a_bridge() {
    let lab = Lab::new(bridge());
    lab.linux("");
    let service = tcp("one");
    let mut addresses = BTreeSet::new();
    for _ in 0..2 {
        let deployment = lab.deployment("linux", std::slice::from_ref(&service));
        let driver = lab.driver("linux");
        driver.prepare(&deployment).await.unwrap();
        let mut running = driver.start(&deployment).await.unwrap();
        ready(&deployment.services, &mut running).await.unwrap();
        let started = running.services()[0].clone();
        addresses.insert(started.endpoint.unwrap().ip());
        ask(started.endpoint.unwrap(), 50).await;
        assert!(running.first_output(&service.name).unwrap() > started.process_after);
        assert_eq!(running.guest(&service.name).unwrap().vcpus.len(), 1);
        assert_eq!(running.pids(&service.name), [started.pid]);
        assert!(running.emulation().is_some());
        let stopped = running.stop().await;
        assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
        assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
        lab.assert_clean().await;
    }
    assert_eq!(addresses.len(), 1, "the address is reused");
    let log = lab.log("one");
    assert!(log.contains("guest-init: the power button was pressed"), "{log}");
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_through_a_forwarded_port() {
    let lab = Lab::new(user());
    lab.linux("machine = 'pc'");
    let services = [tcp("one")];
    let mut running = lab.start("linux", &services).await;
    ready(&services, &mut running).await.unwrap();
    let endpoint = running.services()[0].endpoint.unwrap();
    assert_eq!(endpoint, (lab.host.address, services[0].port.unwrap()).into());
    ask(endpoint, 20).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))]);
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn four_guests_have_distinct_addresses() {
    let lab = Lab::new(bridge());
    lab.linux("memory_mib = 128");
    let services = ["a", "b", "c", "d"].map(tcp);
    let mut running = lab.start("linux", &services).await;
    ready(&services, &mut running).await.unwrap();
    let endpoints: BTreeSet<_> = running
        .services()
        .iter()
        .map(|started| started.endpoint.unwrap().ip())
        .collect();
    assert_eq!(endpoints.len(), 4);
    for started in running.services() {
        ask(started.endpoint.unwrap(), 5).await;
    }
    let stopped = running.stop().await;
    assert!(
        stopped.exits.iter().all(|(_, exit)| *exit == Exit::Code(0)),
        "{:?}",
        stopped.exits
    );
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_exit_code_of_a_failed_workload_is_reported() {
    let lab = Lab::new(user());
    lab.linux("");
    reports_its_exit_code(&lab, "linux").await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_kernel_panic_is_recognized() {
    let lab = Lab::new(user());
    lab.linux("append = 'console=ttyS0 panic=-1 rdinit=/nothing root=/dev/none'");
    let mut running = lab.start("linux", &[tcp("one")]).await;
    assert_eq!(running.ended().await, (name("one"), Exit::Crashed));
    let Some(GuestEnd::Panicked(line)) = running.guest_end(&name("one")) else {
        panic!("{:?}", running.guest_end(&name("one")))
    };
    assert!(line.contains("Kernel panic - not syncing"), "{line}");
    running.stop().await;
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_dies_during_the_load() {
    let lab = Lab::new(bridge());
    lab.linux("");
    let services = [tcp("one")];
    let mut running = lab.start("linux", &services).await;
    ready(&services, &mut running).await.unwrap();
    let started = running.services()[0].clone();
    ask(started.endpoint.unwrap(), 5).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(started.pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(running.ended().await, (name("one"), Exit::Signal(9)));
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    eventually("a log with the end", || {
        lab.log("one").contains("[jung: the hypervisor ended: Signal(9)]")
    })
    .await;
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_microvm_serves() {
    let lab = Lab::new(bridge());
    // Without firmware tables the kernel calibrates its clock against a timer that is too slow under emulation, so it is told the frequency.
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let mhz = cpuinfo.lines().find(|line| line.starts_with("cpu MHz")).unwrap();
    let mhz: f64 = mhz.split(':').next_back().unwrap().trim().parse().unwrap();
    lab.linux(&format!(
        "machine = 'microvm'\nnic = 'virtio-net-device'\nload = ['virtio_mmio', 'virtio_net', 'button', 'evdev']\n\
         append = 'console=ttyS0 panic=-1 tsc_early_khz={:.0} tsc=reliable no_timer_check quiet \
         jung.ip={{ip}} jung.mask={{mask}} jung.gateway={{gateway}} -- {{args}}'",
        mhz * 1000.0
    ));
    let services = [tcp("one")];
    let mut running = lab.start("linux", &services).await;
    ready(&services, &mut running).await.unwrap();
    ask(running.services()[0].endpoint.unwrap(), 20).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}
