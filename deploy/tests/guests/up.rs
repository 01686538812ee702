//! A service that listens nowhere is started once its guest is up, by the console's word.

use deploy::{Driver, Running};
use protocol::spec::{Probe, ServiceSpec, StartedProbe};

use crate::kernel::Kernel;
use crate::lab::{Lab, name, tcp, user};

fn silent(service: &str) -> ServiceSpec {
    ServiceSpec {
        port: None,
        ready: Probe::Started(StartedProbe {}),
        ..tcp(service)
    }
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_is_waited_for() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("booting\nup\n").spin(), "stop = 'quit'");
    let running = lab.start("tiny", &[silent("one"), silent("two")]).await;
    for service in ["one", "two"] {
        assert!(lab.log(service).contains("up\n"), "{}", lab.log(service));
        assert!(running.first_output(&name(service)).is_some());
    }
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn one_that_never_comes_up_breaks_the_start_with_its_last_words() {
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
            .start(&lab.deployment("tiny", &[silent("one")]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        lab.assert_clean().await;
    }
}
