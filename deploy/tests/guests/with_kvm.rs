//! Guests under KVM. The guest is simple enough for a KVM that interprets it.

use std::net::UdpSocket;
use std::time::Duration;

use deploy::guest::GuestEnd;
use deploy::{Driver, Service};
use protocol::spec::{Acceleration, BridgeSpec, GuestNetwork, Probe, UdpProbe};
use protocol::summary::Exit;

use crate::echo;
use crate::lab::{Lab, bridge, name, ready, user, with_args};

/// Describes the guest `echo`, with an initrd and a disk that it does not use.
pub fn lab(more: &str) -> Lab {
    let mut lab = Lab::new(bridge());
    lab.acceleration = Acceleration::Kvm;
    let kernel = echo::build(lab.dir());
    let (initrd, disk) = (lab.dir().join("initrd"), lab.dir().join("disk"));
    std::fs::write(&initrd, [0; 4096]).unwrap();
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let text = format!(
        "kernel = {kernel:?}\ninitrd = {initrd:?}\nappend = 'ip={{ip}} console=ttyS0'\nmemory_mib = 32\nready = '^up$'\nstop = 'quit'\n\
         {more}\n[[disks]]\npath = {disk:?}\nformat = 'raw'"
    );
    lab.describe("echo", &text);
    lab
}

/// A service of the guest.
fn service(service: &str) -> Service {
    Service {
        ready: Probe::Udp(UdpProbe {
            packet: "number 7".into(),
            answer: "number 7".into(),
        })
        .into(),
        ..with_args(service, &["udp", "--listen", "{listen}", "--echo"])
    }
}

/// Two guests serve at once, have their own vCPU threads, and leave nothing.
pub async fn serves(lab: &Lab) {
    let services = [service("one"), service("two")];
    let mut running = lab.start("echo", &services).await;
    ready(&services, &mut running).await.unwrap();
    for started in running.services().to_vec() {
        let endpoint = started.endpoint.unwrap();
        tokio::task::spawn_blocking(move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            socket.connect(endpoint).unwrap();
            for number in 0..100 {
                let (asked, mut answer) = (format!("{number} of 100"), [0; 100]);
                socket.send(asked.as_bytes()).unwrap();
                let length = socket.recv(&mut answer).unwrap();
                assert_eq!(&answer[..length], asked.as_bytes());
            }
        })
        .await
        .unwrap();
        let vcpus = running.guest(&started.service).unwrap().vcpus;
        assert_eq!(vcpus.len(), 1, "{vcpus:?}");
        assert!(std::fs::exists(format!("/proc/{}/task/{}", started.pid, vcpus[0])).unwrap());
        assert!(running.first_output(&started.service).is_some());
        assert!(lab.log(started.service.as_str()).contains("up"));
    }
    assert_eq!(running.emulation(), None);
    let stopped = running.stop().await;
    assert!(
        stopped.exits.iter().all(|(_, exit)| *exit == Exit::Code(0)),
        "{stopped:?}"
    );
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

/// A killed guest is reported and leaves nothing.
pub async fn dies(lab: &Lab) {
    let services = [service("one")];
    let mut running = lab.start("echo", &services).await;
    ready(&services, &mut running).await.unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.services()[0].pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(running.ended().await, (name("one"), Exit::Signal(9)));
    assert_eq!(running.guest_end(&name("one")), Some(&GuestEnd::Vmm(Exit::Signal(9))));
    running.stop().await;
    lab.assert_clean().await;
}

/// A guest that resets itself has ended, though its hypervisor would reboot it.
pub async fn resets(lab: &Lab, end: GuestEnd) {
    let services = [service("one")];
    let mut running = lab.start("echo", &services).await;
    ready(&services, &mut running).await.unwrap();
    let endpoint = running.services()[0].endpoint.unwrap();
    UdpSocket::bind("0.0.0.0:0")
        .unwrap()
        .send_to(b"boot", endpoint)
        .unwrap();
    let (_, exit) = running.ended().await;
    assert_eq!((exit, running.guest_end(&name("one"))), (end.exit(), Some(&end)));
    running.stop().await;
    lab.assert_clean().await;
}

/// A console line that matches `panic` ends it.
pub async fn panics(lab: &Lab) {
    let mut running = lab.start("echo", &[service("one")]).await;
    assert_eq!(running.ended().await, (name("one"), Exit::Crashed));
    assert_eq!(running.guest_end(&name("one")), Some(&GuestEnd::Panicked("up".into())));
    running.stop().await;
    lab.assert_clean().await;
}

/// Unsupported features are refused, and so is an invalid kernel.
pub async fn refuses(mut lab: Lab) {
    let refusal = async |lab: &Lab| {
        let deployment = lab.deployment("echo", &[service("one")]);
        let error = lab.driver("echo").start(&deployment).await.unwrap_err();
        lab.assert_clean().await;
        error.to_string()
    };
    lab.network = user();
    assert!(lab.driver("echo").probe().await.unmet.is_some());
    assert!(refusal(&lab).await.contains("no user-mode network"));
    lab.network = GuestNetwork::Bridge(BridgeSpec { vhost: true });
    assert!(refusal(&lab).await.contains("vhost"));
    lab.network = bridge();
    lab.acceleration = Acceleration::Tcg;
    assert!(refusal(&lab).await.contains("emulates no processor"));
    lab.acceleration = Acceleration::Auto;
    let facts = lab.driver("echo").probe().await;
    assert!(facts.unmet.is_none(), "{facts:?}");
    std::fs::write(lab.dir().join("echo.elf"), "no kernel").unwrap();
    let error = refusal(&lab).await;
    assert!(error.contains("exited immediately"), "{error}");
}

#[tokio::test]
#[ignore = "needs QEMU, root and KVM"]
async fn qemu_serves() {
    // With `host` QEMU 7.2 exits if KVM does not accept the register that lists the processor's vulnerabilities.
    serves(&lab(
        "machine = 'microvm'\nnic = 'virtio-net-device'\ncpu = 'host,-arch-capabilities'",
    ))
    .await;
}

#[tokio::test]
#[ignore = "needs QEMU, root and KVM"]
async fn an_unknown_cpu_model_fails_kvm() {
    let lab = lab("machine = 'microvm'\nnic = 'virtio-net-device'\ncpu = 'pentium9'");
    let deployment = lab.deployment("echo", &[service("one")]);
    let error = lab.driver("echo").start(&deployment).await.unwrap_err().to_string();
    assert!(
        error.contains("a guest that boots with KVM") && error.contains("pentium9"),
        "{error}"
    );
    lab.assert_clean().await;
}
