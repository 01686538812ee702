//! Guests with directories of the host, each served by a virtiofsd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use deploy::Driver;
use deploy::guest::GuestEnd;
use deploy::procfs::Procfs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::summary::Exit;

use crate::kernel::Kernel;
use crate::lab::{Lab, ask, bridge, eventually, name, ready, tcp, user};

/// A directory of the host.
fn directory(lab: &Lab, name: &str) -> PathBuf {
    let dir = lab.host.state.join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Keys of a Linux guest that mounts the share `tools`, and `data` within it.
fn mounting(lab: &Lab, more: &str, writable: bool) -> String {
    let (tools, data) = (directory(lab, "tools"), directory(lab, "data"));
    format!(
        "load = ['virtio_pci', 'virtio_net', 'button', 'evdev', 'virtiofs']\n\
         append = 'console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet jung.ip={{ip}} jung.mask={{mask}} jung.gateway={{gateway}} \
         jung.mount=tools:/tools jung.mount=data:/tools/made {more} -- {{args}}'\n\
         [[shares]]\npath = {tools:?}\ntag = 'tools'\nwritable = {writable}\n[[shares]]\npath = {data:?}\ntag = 'data'\n"
    )
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn linux_runs_a_program_from_one_share_and_writes_to_another() {
    let lab = Lab::new(bridge());
    lab.linux(&mounting(&lab, "jung.workload=/tools/made/program", true));
    let program = lab.host.state.join("data/program");
    fs::copy(&lab.host.workload, &program).unwrap();
    let services = [tcp("one")];
    let mut running = lab.start("linux", &services).await;
    ready(&services, &mut running).await.unwrap();
    let started = running.services()[0].clone();
    ask(started.endpoint.unwrap(), 20).await;
    assert!(
        lab.log("one").contains("started /tools/made/program"),
        "{}",
        lab.log("one")
    );
    assert!(lab.host.state.join("tools/made").is_dir(), "the guest created it");

    let processes = running.platform_processes();
    assert_eq!(
        processes.len(),
        4,
        "virtiofsd and its sandbox for each share: {processes:?}"
    );
    for process in &processes {
        assert_eq!(
            (process.name.clone(), process.service.clone()),
            (name("virtiofsd"), Some(name("one")))
        );
        assert!(Procfs::default().name(process.pid).unwrap().starts_with("virtiofsd"));
    }
    assert_eq!(
        running.pids(&name("one")),
        [started.pid],
        "virtiofsd is not part of the service"
    );
    let deviations = running.deviations().join("; ");
    assert!(
        deviations.contains("the share \"tools\" is writable") && !deviations.contains("\"data\""),
        "{deviations}"
    );
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_read_only_share_cannot_be_written_to() {
    let lab = Lab::new(user());
    lab.linux(&mounting(&lab, "", false));
    let mut running = lab.start("linux", &[tcp("one")]).await;
    running.ended().await;
    let log = lab.log("one");
    assert!(
        log.contains("mounting the share data on /tools/made: Read-only file system"),
        "{log}"
    );
    assert!(!lab.host.state.join("tools/made").exists());
    running.stop().await;
    lab.assert_clean().await;
}

/// The guest `tiny` with a share, and `more` keys.
fn tiny(lab: &Lab, more: &str) {
    let data = directory(lab, "data");
    let kernel = Kernel::default().say("up\n").spin();
    lab.tiny(
        &kernel,
        &format!("stop = 'quit'\n{more}\n[[shares]]\npath = {data:?}\ntag = 'data'"),
    );
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_killed_virtiofsd_ends_its_guest() {
    let lab = Lab::new(user());
    tiny(&lab, "");
    let mut running = lab.start("tiny", &[tcp("one")]).await;
    eventually("both processes", || running.platform_processes().len() == 2).await;
    for part in running.platform_processes() {
        kill(Pid::from_raw(i32::try_from(part.pid).unwrap()), Signal::SIGKILL).unwrap();
    }
    // The runner polls in this way.
    let ended = loop {
        let patience = std::time::Duration::from_millis(100);
        if let Ok(ended) = tokio::time::timeout(patience, running.ended()).await {
            break ended;
        }
    };
    assert_eq!(ended, (name("one"), Exit::Unserved));
    let end = running.guest_end(&name("one")).unwrap().clone();
    assert!(
        matches!(&end, GuestEnd::Unserved(how) if how.contains("\"data\"") && how.contains("signal: 9")),
        "{end:?}"
    );
    assert!(
        lab.log("one").contains("virtiofsd of share \"data\" ended"),
        "{}",
        lab.log("one")
    );
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_virtiofsd_that_fails_is_reported() {
    let lab = Lab::new(user());
    let program = directory(&lab, "bin").join("virtiofsd");
    fs::write(&program, "#!/bin/sh\necho 'no such option' >&2\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    tiny(&lab, &format!("virtiofsd = {program:?}"));
    let driver = lab.driver("tiny");
    let error = driver
        .start(&lab.deployment("tiny", &[tcp("one")]))
        .await
        .unwrap_err()
        .to_string();
    for expected in ["share \"data\"", "exit status: 3", "no such option", "service one"] {
        assert!(error.contains(expected), "no {expected:?} in {error}");
    }
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_virtiofsds_of_a_crashed_runner_are_swept() {
    let lab = Lab::new(user());
    tiny(&lab, "");
    let running = lab.start("tiny", &[tcp("one"), tcp("two")]).await;
    eventually("all processes", || running.platform_processes().len() == 4).await;
    std::mem::forget(running);
    let found = lab.driver("tiny").sweep().await.unwrap();
    assert_eq!(found.len(), 6, "two QEMUs, four virtiofsds: {found:?}");
    lab.assert_clean().await;
    drop(lab.start("tiny", &[tcp("one")]).await);
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn what_is_missing_is_reported_before_the_run() {
    let lab = Lab::new(user());
    tiny(&lab, "");
    let facts = lab.driver("tiny").probe().await;
    assert_eq!(facts.unmet, None);
    assert!(facts.details["virtiofsd"].contains("virtiofsd"), "{facts:?}");
    fs::remove_dir(lab.host.state.join("data")).unwrap();
    let unmet = lab.driver("tiny").probe().await.unmet.unwrap();
    assert!(unmet.need.contains("of share \"data\" is not a directory"), "{unmet:?}");
    tiny(&lab, "virtiofsd = '/no/such'");
    let unmet = lab.driver("tiny").probe().await.unmet.unwrap();
    assert!(
        unmet.need.contains("/no/such") && unmet.remedy.contains("qemu-system-common"),
        "{unmet:?}"
    );
}
