//! Images made by OSv's own build that contain the workload and OSv's REST API (see `deploy/osv/README.md`). `JUNG_OSV_IMAGES` names their directory:
//! `usr.img` (read-only root), `zfs.img` (ZFS root), `loader-ramfs.elf` (kernel that contains its root).

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use deploy::{Deployment, Service};
use protocol::sample::{Counter, Counters, Subject};
use protocol::size::Part;
use protocol::spec::GuestNetwork;
use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, name, ready, tcp, user};

/// The port in the image's own command line.
const OWN_PORT: u16 = 27_183;
/// The command line of every guest, without its root.
const APPEND: &str = "--verbose --ip=eth0,{ip},{mask} --defaultgw={gateway} /workload {args}";

fn image(file: &str) -> PathBuf {
    let folder = std::env::var_os("JUNG_OSV_IMAGES")
        .expect("JUNG_OSV_IMAGES is not set to a directory of images that OSv's own build made; without one, --skip osv_built::");
    Path::new(&folder).join(file)
}

/// Describes a complete image; `more` are further keys.
fn whole(lab: &Lab, image: &Path, more: &str) {
    let disk = format!("[[disks]]\npath = {image:?}\nformat = 'qcow2'\nwritable = true\n");
    lab.describe("osv", &format!("preset = 'osv-image'\n{more}\n{disk}"));
}

fn modified(image: &Path) -> SystemTime {
    std::fs::metadata(image).unwrap().modified().unwrap()
}

/// Starts services and checks that they reply.
async fn served(lab: &Lab, services: &[Service]) -> Deployment {
    let mut running = lab.start("osv", services).await;
    ready(services, &mut running).await.unwrap();
    for started in running.services() {
        ask(started.endpoint.unwrap(), 20).await;
    }
    running
}

async fn stopped(lab: &Lab, running: Deployment) {
    let stopped = running.stop().await;
    for (service, exit) in stopped.exits {
        assert_eq!(exit, Exit::Code(0), "{}", lab.log(service.as_str()));
    }
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

/// The figures of the guest as a whole and of the workload's thread.
async fn figures(running: &Deployment) -> (Counters, Counters) {
    let all = running.meter().unwrap().read().await;
    let of = |wanted: &dyn Fn(&Subject) -> bool| {
        let found = all
            .iter()
            .find(|(of, _)| wanted(of))
            .map(|(_, counters)| counters.clone());
        found.unwrap_or_else(|| panic!("missing in {all:?}"))
    };
    let whole = of(&|of| matches!(of, Subject::Guest(_)));
    let thread = of(&|of| matches!(of, Subject::GuestThread(thread) if thread.name == "/workload"));
    (whole, thread)
}

async fn tells_of_itself(network: GuestNetwork) {
    let lab = Lab::new(network);
    whole(
        &lab,
        &image("usr.img"),
        &format!("rest = 8000\nappend = '--rootfs=rofs {APPEND}'"),
    );
    let running = served(&lab, &[tcp("one")]).await;
    let (before, thread) = figures(&running).await;
    let get = |counters: &Counters, counter| counters.get(counter).unwrap();
    let (total, free) = (get(&before, Counter::MemoryBytes), get(&before, Counter::FreeBytes));
    assert!(0 < free && free < total && total <= 128 << 20, "{free} of {total}");
    assert!(get(&before, Counter::Threads) > 10, "{before:?}");
    assert!(get(&thread, Counter::Switches) > 0, "{thread:?}");
    ask(running.services()[0].endpoint.unwrap(), 50).await;
    let (after, _) = figures(&running).await;
    for counter in [Counter::CpuNs, Counter::Switches] {
        assert!(
            get(&after, counter) > get(&before, counter),
            "{before:?}, then {after:?}"
        );
    }
    stopped(&lab, running).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn its_threads_and_memory_are_read_over_a_bridge() {
    tells_of_itself(bridge()).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn its_threads_and_memory_are_read_through_a_forwarded_port() {
    tells_of_itself(user()).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_runs_its_built_in_command_line() {
    let lab = Lab::new(user());
    whole(&lab, &image("usr.img"), "");
    let service = Service {
        port: Some(OWN_PORT),
        ..tcp("one")
    };
    let running = served(&lab, &[service]).await;
    stopped(&lab, running).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn guests_write_to_separate_overlays_of_one_zfs() {
    let lab = Lab::new(bridge());
    let image = image("zfs.img");
    let before = modified(&image);
    whole(&lab, &image, &format!("append = '--rootfs=zfs {APPEND}'"));
    let running = served(&lab, &[tcp("one"), tcp("two")]).await;
    let stopped = running.stop().await;
    for service in ["one", "two"] {
        assert!(lab.log(service).contains("Booted up in "), "{}", lab.log(service));
        let sizes = stopped.sizes.iter().find(|(of, _)| *of == name(service)).unwrap();
        let written = sizes.1.iter().find(|size| size.part == Part::Written).unwrap();
        assert!(written.bytes > 0, "ZFS writes when it is mounted: {sizes:?}");
    }
    assert_eq!(modified(&image), before, "the image is unchanged");
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_root_in_the_kernel_needs_no_disk() {
    let lab = Lab::new(bridge());
    let kernel = image("loader-ramfs.elf");
    lab.describe(
        "osv",
        &format!("preset = 'osv'\nimage = 'none'\nkernel = {kernel:?}\nappend = '--rootfs=ramfs {APPEND}'\n"),
    );
    let running = served(&lab, &[tcp("one")]).await;
    stopped(&lab, running).await;
}
