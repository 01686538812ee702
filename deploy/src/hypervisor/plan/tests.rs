use std::path::Path;

use protocol::spec::{Acceleration, ConnectsProbe, GuestNetwork, Probe, UserNetSpec, WorkloadService};

use super::*;

fn guest(text: &str) -> Guest {
    Guest::parse(Path::new("x.toml"), text).unwrap()
}

fn service(args: &[&str]) -> Service {
    let workload = WorkloadService {
        args: args.iter().map(|&arg| arg.into()).collect(),
        port: Some(5000),
        ready: Probe::Connects(ConnectsProbe {}),
    };
    Service::workload("tcp".parse().unwrap(), workload)
}

async fn vm(guest: &Guest, image: &BuiltImage, args: &[&str]) -> Result<VmSpec, DeployError> {
    let plan = Plan {
        guest,
        image,
        accelerator: Accelerator::Tcg,
        vcpus: 1,
        memory_mib: 64,
        keys: None,
    };
    let net = NetConfig::user_mode("127.0.0.1".parse().unwrap(), Some(5000)).unwrap();
    let state = tempfile::tempdir().unwrap();
    let files = plan
        .files(state.path(), AttemptId::fresh(), &service(args), &net, Vec::new())
        .await?;
    plan.vm(&service(args), &net, &files)
}

#[tokio::test]
async fn the_service_listens_on_the_guests_address() {
    let osv = guest("preset = 'osv'\nkernel = '/k'");
    let image = BuiltImage::Disk("/s/x.raw".into());
    let vm = vm(&osv, &image, &["tcp", "--listen", "{listen}"]).await.unwrap();
    let append = vm.append.unwrap();
    assert!(append.ends_with("/workload tcp --listen 10.0.2.15:5000"), "{append}");
    assert!(append.contains("--ip=eth0,10.0.2.15,255.255.255.0"), "{append}");
    assert!(vm.disks[0].read_only);
}

#[tokio::test]
async fn an_argument_with_special_characters_is_refused() {
    let osv = guest("preset = 'osv'\nkernel = '/k'");
    let error = vm(&osv, &BuiltImage::Nothing, &["tcp", "x; /other"])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("service tcp") && error.contains("x; /other"), "{error}");
}

#[tokio::test]
async fn a_multiboot_module_gets_arguments() {
    let text = "kernel = '/k/chainloader'\ninitrd = '/k/service.elf'\ninitrd_append = '{ip} {port}'\nready = 'x'";
    let vm = vm(&guest(text), &BuiltImage::Nothing, &[]).await.unwrap();
    assert_eq!(vm.initrd.unwrap(), "/k/service.elf 10.0.2.15 5000");
}

#[tokio::test]
async fn a_cloud_image_gets_the_program_and_a_seed_after_its_disk() {
    let text = "preset = 'cloud'\n[[disks]]\npath = '/a'\nformat = 'raw'";
    let image = BuiltImage::Program("/s/program.raw".into());
    let vm = vm(&guest(text), &image, &["tcp", "--listen", "{listen}"])
        .await
        .unwrap();
    let shown: Vec<_> = vm.disks.iter().map(|disk| disk.path.to_str().unwrap()).collect();
    assert_eq!(shown[..2], ["/a", "/s/program.raw"]);
    assert!(shown[2].ends_with("-tcp.seed"), "{shown:?}");
    assert!(vm.disks.iter().all(|disk| disk.read_only));
    assert_eq!(vm.append, None);
}

#[tokio::test]
async fn a_seed_refuses_an_argument_with_special_characters() {
    let text = "preset = 'cloud'\n[[disks]]\npath = '/a'\nformat = 'raw'";
    let error = vm(&guest(text), &BuiltImage::Nothing, &["tcp", "a\nExecStop=/x"])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot be passed"), "{error}");
}

/// QEMU's arguments for an OSv whose root file system is the user's.
async fn arguments_of(text: &str) -> String {
    let guest = guest(&format!(
        "preset = 'osv'\nimage = 'none'\nkernel = '/k/loader-stripped.elf'\n{text}"
    ));
    let mut spec = vm(&guest, &BuiltImage::Nothing, &["tcp"]).await.unwrap();
    (spec.monitor, spec.console) = ("monitor".into(), "console".into());
    crate::hypervisor::qemu::args(&spec).join("\n")
}

#[tokio::test]
async fn a_zfs_or_ramfs_of_osv_is_passed_through() {
    let net = "--ip=eth0,{ip},{mask} --defaultgw={gateway}";
    let disk = "[[disks]]\npath = '/i/usr.img'\nformat = 'qcow2'";
    let zfs = arguments_of(&format!("append = '--rootfs=zfs {net} /app {{port}}'\n{disk}")).await;
    insta::assert_snapshot!("osv_on_zfs", zfs);
    let ramfs = arguments_of(&format!("append = '--rootfs=ramfs {net} /app {{port}}'")).await;
    insta::assert_snapshot!("osv_on_ramfs", ramfs);
}

#[test]
fn undeclared_sizes_are_deviations() {
    let osv = guest("preset = 'osv'\nkernel = '/k'\nmemory_mib = 96");
    let mut spec = GuestSpec {
        guest: "osv".parse().unwrap(),
        acceleration: Acceleration::Tcg,
        network: GuestNetwork::User(UserNetSpec {}),
        vcpus: None,
    };
    let (vcpus, memory, deviations) = size(&osv, &spec, &Resources::default());
    assert_eq!((vcpus, memory, deviations.len()), (1, 96, 2));
    let resources = Resources {
        cpuset: Some("0-2".parse().unwrap()),
        mems: None,
        memory_mib: Some(64),
    };
    assert_eq!(size(&osv, &spec, &resources), (3, 64, Vec::new()));
    spec.vcpus = Some(2);
    assert_eq!(size(&osv, &spec, &resources).0, 2);
}
