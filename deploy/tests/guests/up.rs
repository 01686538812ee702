//! A service without a port is started once its guest's console shows that the guest is up.

use deploy::{Driver, Service};
use protocol::spec::{Probe, StartedProbe};

use crate::kernel::Kernel;
use crate::lab::{Lab, name, tcp, user};

fn without_port(service: &str) -> Service {
    Service {
        port: None,
        ready: Probe::Started(StartedProbe {}).into(),
        ..tcp(service)
    }
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_guest_is_waited_for() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("booting\nup\n").spin(), "stop = 'quit'");
    let running = lab.start("tiny", &[without_port("one"), without_port("two")]).await;
    for service in ["one", "two"] {
        assert!(lab.log(service).contains("up\n"), "{}", lab.log(service));
        assert!(running.first_output(&name(service)).is_some());
    }
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_that_never_comes_up_fails_the_start() {
    for (kernel, expected) in [
        (Kernel::default().say("PANIC: no memory\n").halt(), "PANIC: no memory"),
        (
            Kernel::default().say("nothing to do\n").power_off(),
            "ended before it was up",
        ),
    ] {
        let lab = Lab::new(user());
        lab.tiny(&kernel, "");
        let driver = lab.driver("tiny");
        let error = driver
            .start(&lab.deployment("tiny", &[without_port("one")]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        lab.assert_clean().await;
    }
}
