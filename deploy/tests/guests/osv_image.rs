//! A complete OSv image, assembled as OSv's own build does and booted by its firmware. `JUNG_OSV_LOADER_IMG` is the `loader.img` of that build.

use std::path::{Path, PathBuf};

use protocol::spec::GuestNetwork;
use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, name, ready, tcp, user};
use crate::whole_image::assemble;

/// An image with the workload in a read-only root file system, and a command line.
fn image(lab: &Lab, command_line: &str) -> PathBuf {
    let path = lab.host.state.join("usr.img");
    std::fs::create_dir_all(&lab.host.state).unwrap();
    std::fs::write(&path, assemble(&lab.host.workload, command_line)).unwrap();
    path
}

async fn serves(network: GuestNetwork, command_line: &str, port: Option<u16>, describe: impl Fn(&Path) -> String) {
    let lab = Lab::new(network);
    let image = image(&lab, command_line);
    let before = std::fs::metadata(&image).unwrap().modified().unwrap();
    lab.describe("osv", &describe(&image));
    let mut service = tcp("one");
    service.port = port.or(service.port);
    let services = [service];
    let mut running = lab.start("osv", &services).await;
    ready(&services, &mut running).await.unwrap();
    ask(running.services()[0].endpoint.unwrap(), 20).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    assert!(lab.log("one").contains("Booted up in "), "{}", lab.log("one"));
    assert_eq!(
        std::fs::metadata(&image).unwrap().modified().unwrap(),
        before,
        "the image is unchanged"
    );
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_gets_a_command_line_and_an_address() {
    let describe = |image: &Path| {
        let append = "--verbose --rootfs=rofs --ip=eth0,{ip},{mask} --defaultgw={gateway} /workload {args}";
        format!(
            "preset = 'osv-image'\nappend = '{append}'\n[[disks]]\npath = {image:?}\nformat = 'raw'\nwritable = true\n"
        )
    };
    serves(bridge(), "--verbose /nobody/runs/this", None, describe).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_runs_unchanged_with_its_own_command_line() {
    let port = testkit::free_port();
    // QEMU's user-mode network answers DHCP.
    let own = format!("--verbose --rootfs=rofs /workload tcp --listen 0.0.0.0:{port}");
    let describe = |image: &Path| format!("preset = 'osv-image'\n[[disks]]\npath = {image:?}\nformat = 'raw'\n");
    serves(user(), &own, Some(port), describe).await;
}
