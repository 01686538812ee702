//! A whole image of OSv, put together as OSv's own build does, booted by its firmware. `JUNG_OSV_LOADER_IMG` is the `loader.img` of that build: the boot
//! sector, room for the command line, the compressed kernel.

use std::path::{Path, PathBuf};

use deploy::Running;
use deploy::guest::osv::rofs;
use deploy::guest::tree::Tree;
use protocol::spec::GuestNetwork;
use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, name, ready, tcp, user};

/// A sector of a disk.
const SECTOR: usize = 512;
/// Where the command line stands, and how much room it has.
const COMMAND_LINE: std::ops::Range<usize> = SECTOR..64 * SECTOR;
/// Where the second entry of the partition table stands.
const ENTRY: usize = 0x1ce;

/// An image with the workload in a read-only root file system, and a command line.
fn image(lab: &Lab, command_line: &str) -> PathBuf {
    let loader = std::env::var_os("JUNG_OSV_LOADER_IMG")
        .expect("JUNG_OSV_LOADER_IMG names no loader.img of OSv; without one, --skip osv_image::");
    let mut image = std::fs::read(loader).unwrap();
    image.resize(image.len().next_multiple_of(128 * SECTOR), 0);
    let line = image[COMMAND_LINE].iter_mut().zip(command_line.bytes().chain([0]));
    line.for_each(|(to, from)| *to = from);
    let mut tree = Tree::default();
    tree.file("/workload", std::fs::read(&lab.host.workload).unwrap(), true)
        .unwrap();
    tree.file("/etc/fstab", b"/dev/vblk0.1 / rofs defaults 0 0\n".to_vec(), false)
        .unwrap();
    for dir in ["/dev", "/proc", "/sys", "/tmp"] {
        tree.dir(dir).unwrap();
    }
    tree.link("/etc/mnttab", "/proc/mounts").unwrap();
    let mut root = rofs::write(&tree).unwrap();
    root.resize(root.len().next_multiple_of(SECTOR), 0);
    let sectors = |bytes: usize| u32::try_from(bytes / SECTOR).unwrap().to_le_bytes();
    let entry: Vec<u8> = [0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff]
        .into_iter()
        .chain(sectors(image.len()))
        .chain(sectors(root.len()))
        .collect();
    image[ENTRY..ENTRY + 16].copy_from_slice(&entry);
    image.extend(root);
    let path = lab.host.state.join("usr.img");
    std::fs::create_dir_all(&lab.host.state).unwrap();
    std::fs::write(&path, image).unwrap();
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
        "nobody wrote to the image"
    );
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_gets_a_command_line_and_an_address_of_its_own() {
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
async fn it_is_taken_as_it_is_with_its_own_command_line() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    // QEMU's own network answers DHCP.
    let own = format!("--verbose --rootfs=rofs /workload tcp --listen 0.0.0.0:{port}");
    let describe = |image: &Path| format!("preset = 'osv-image'\n[[disks]]\npath = {image:?}\nformat = 'raw'\n");
    serves(user(), &own, Some(port), describe).await;
}
