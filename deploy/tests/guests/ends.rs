//! Every way in which a guest can end, or fail to, is reported with the right reason, and nothing is left.

use std::time::Duration;

use deploy::guest::GuestEnd;
use deploy::{Driver, ready};
use protocol::size::{Part, totals};
use protocol::summary::Exit;

use crate::kernel::Kernel;
use crate::lab::{Lab, bridge, eventually, name, tcp, user};

/// Starts a tiny kernel and waits until it ends by itself.
async fn end_of(kernel: Kernel) -> (GuestEnd, Exit, String) {
    let lab = Lab::new(bridge());
    lab.tiny(&kernel, "");
    let mut running = lab.start("tiny", &[tcp("one")]).await;
    let (service, exit) = running.ended().await;
    assert_eq!(service, name("one"));
    let end = running.guest_end(&service).unwrap().clone();
    let stopped = running.stop().await;
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    assert_eq!(stopped.exits, [(service, exit.clone())]);
    lab.assert_clean().await;
    (end, exit, lab.log("one"))
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_powers_itself_off() {
    let (end, exit, log) = end_of(Kernel::default().say("up\n").power_off()).await;
    assert_eq!((end, exit), (GuestEnd::PoweredOff, Exit::Code(0)));
    assert!(
        log.contains("up\n") && log.contains("[jung: the guest powered itself off]"),
        "{log}"
    );
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_triple_fault_is_a_crash() {
    let (end, exit, log) = end_of(Kernel::default().say("up\n").triple_fault()).await;
    assert_eq!((end, exit), (GuestEnd::Reset, Exit::Crashed));
    assert!(log.contains("triple fault"), "{log}");
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_that_halts_after_a_panic_is_killed() {
    let (end, exit, log) = end_of(Kernel::default().say("up\nPANIC: out of luck\n").halt()).await;
    assert_eq!(
        (end, exit),
        (GuestEnd::Panicked("PANIC: out of luck".into()), Exit::Crashed)
    );
    assert!(log.contains("the guest panicked: PANIC: out of luck"), "{log}");
}

/// The runner polls in this way, since it reads samples in between.
#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_panic_is_seen_when_polling() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("up\nPANIC: out of luck\n").halt(), "");
    let mut running = lab.start("tiny", &[tcp("one")]).await;
    let polling = async {
        loop {
            if let Ok(ended) = tokio::time::timeout(Duration::from_millis(100), running.ended()).await {
                break ended;
            }
        }
    };
    let ended = tokio::time::timeout(crate::lab::TIMEOUT, polling).await.unwrap();
    assert_eq!(ended, (name("one"), Exit::Crashed));
    running.stop().await;
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_is_killed() {
    let lab = Lab::new(bridge());
    lab.tiny(&Kernel::default().say("up\n").spin(), "");
    let mut running = lab.start("tiny", &[tcp("one")]).await;
    let pid = i32::try_from(running.services()[0].pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(running.ended().await, (name("one"), Exit::Signal(9)));
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_neither_replies_nor_obeys_its_power_button() {
    for (kernel, halted) in [
        (Kernel::default().say("up\n").spin(), false),
        (Kernel::default().halt(), true),
    ] {
        let lab = Lab::new(bridge());
        lab.tiny(&kernel, "");
        let services = [tcp("one")];
        let mut deployment = lab.deployment("tiny", &services);
        deployment.grace = Duration::from_secs(1);
        let running = lab.driver("tiny").start(&deployment).await.unwrap();
        let started = running.services().to_vec();
        let not_ready = ready::wait(&deployment, &lab.host.runner, &started, Duration::from_secs(3))
            .await
            .unwrap_err();
        assert_eq!(not_ready.service, name("one"));
        let stopped = running.stop().await;
        assert_eq!(stopped.exits, [(name("one"), Exit::Killed)]);
        assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
        let log = lab.log("one");
        assert!(log.contains("did not stop in time"), "{log}");
        assert_eq!(log.contains("halted with interrupts disabled"), halted, "{log}");
        lab.assert_clean().await;
    }
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_flooded_console_does_not_fill_the_disk() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("up\n").babble(), "stop = 'quit'");
    let running = lab.start("tiny", &[tcp("one")]).await;
    eventually("a full console", || lab.log("one").len() >= 512 * 1024).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    let log = lab.log("one");
    assert!(log.len() < 700 * 1024, "{}", log.len());
    assert!(log.contains("bytes of the console are omitted") || log.len() < 577 * 1024);
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_without_power_button_is_told_to_quit() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("up\n").spin(), "stop = 'quit'");
    let running = lab.start("tiny", &[tcp("one")]).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))]);
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_has_the_declared_cpus_and_memory() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("up\n").spin(), "stop = 'quit'");
    let mut deployment = lab.deployment("tiny", &[tcp("one")]);
    deployment.resources.cpuset = Some("0".parse().unwrap());
    deployment.resources.memory_mib = Some(24);
    let running = lab.driver("tiny").start(&deployment).await.unwrap();
    let pid = running.services()[0].pid;
    for thread in running.guest(&name("one")).unwrap().vcpus {
        let status = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(command.contains("\0-smp\x001\0-m\x0024M\0"), "{command:?}");
    let deviations = running.deviations().join("; ");
    assert!(!deviations.contains("is set"), "{deviations}");
    running.stop().await;
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_dropped_deployment_is_gone() {
    let lab = Lab::new(bridge());
    lab.tiny(&Kernel::default().say("up\n").spin(), "");
    let running = lab.start("tiny", &[tcp("one"), tcp("two")]).await;
    drop(running);
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn what_a_crashed_runner_left_is_swept_and_the_next_trial_works() {
    let lab = Lab::new(bridge());
    lab.tiny(&Kernel::default().say("up\n").spin(), "stop = 'quit'");
    std::mem::forget(lab.start("tiny", &[tcp("one"), tcp("two")]).await);
    let found = lab.driver("tiny").sweep().await.unwrap();
    let count = |what: &str| found.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!(
        (
            count("killed marked pid"),
            count("removed tap"),
            count("removed bridge")
        ),
        (2, 2, 1),
        "{found:?}"
    );
    lab.assert_clean().await;
    let next = lab.start("tiny", &[tcp("one")]).await;
    assert_eq!(next.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guests_writes_are_discarded() {
    let lab = Lab::new(user());
    let disk = lab.host.state.join("disk.raw");
    std::fs::create_dir_all(&lab.host.state).unwrap();
    std::fs::write(&disk, vec![7; 1 << 20]).unwrap();
    let more = format!("stop = 'quit'\n[[disks]]\npath = {disk:?}\nformat = 'raw'\nwritable = true");
    lab.tiny(&Kernel::default().say("up\n").spin(), &more);
    let running = lab.start("tiny", &[tcp("one"), tcp("two")]).await;
    let overlays = || {
        std::fs::read_dir(lab.host.state.join("guests/overlays"))
            .unwrap()
            .count()
    };
    assert_eq!(overlays(), 2, "each guest has its own");
    let stopped = running.stop().await;
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    let totals = totals(stopped.sizes.iter().flat_map(|(_, sizes)| sizes));
    assert_eq!(
        (totals[&Part::Disk], totals[&Part::Written]),
        (1 << 20, 0),
        "nothing was written"
    );
    assert_eq!(overlays(), 0);
    assert_eq!(std::fs::read(&disk).unwrap(), vec![7; 1 << 20]);
    lab.assert_clean().await;
}
