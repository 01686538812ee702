//! From a guest's description and a service to what QEMU is to start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;

use protocol::ids::AttemptId;
use protocol::size::{Part, Size};
use protocol::spec::{GuestSpec, Resources, ServiceSpec};

use super::args::{Accelerator, VmDisk, VmNetwork, VmSpec};
use super::image::Made;
use super::own::{Overlay, Own, Scratch};
use super::ssh::Keys;
use crate::guest::linux::seed::Seed;
use crate::guest::template::{self, Filling, Template, UnsafeArgument};
use crate::guest::{Disk, DiskFormat, Guest, Image};
use crate::network::bridge::Tap;
use crate::network::subnet::{MASK, mac, mac_text};
use crate::{DeployError, network, service_args, size};

/// The host's address as guests behind QEMU's own network see it.
pub(super) const USER_NET_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Where a guest is in its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its address.
    pub(super) ip: Ipv4Addr,
    /// The host's address in that network.
    pub(super) gateway: Ipv4Addr,
    /// What its card is connected to.
    pub(super) network: VmNetwork,
    /// Where its service answers, if anywhere.
    pub(super) endpoint: Option<SocketAddr>,
    /// The port of this host that is forwarded.
    pub(super) forward: Option<SocketAddr>,
}

impl Place {
    /// On a tap.
    pub(super) fn on(tap: &Tap, vhost: bool, port: Option<u16>) -> Self {
        Self {
            ip: tap.guest(),
            gateway: tap.host(),
            network: VmNetwork::Tap {
                name: tap.name(),
                vhost,
            },
            endpoint: port.map(|port| (tap.guest(), port).into()),
            forward: None,
        }
    }

    /// Behind QEMU's own network, reached through a port of this host.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] where the host is reached by IPv6, which QEMU does not forward.
    pub(super) fn behind(host: IpAddr, port: Option<u16>) -> Result<Self, DeployError> {
        let Some(port) = port else {
            return Ok(Self::alone(Vec::new()));
        };
        let listen = network::listen_address(host, port);
        let SocketAddr::V4(listen) = listen else {
            return Err(DeployError::Unmet {
                need: format!("network = \"user\" forwards IPv4 only, and this host is reached at {host}"),
                remedy: "give the runner an IPv4 address, or use network = \"bridge\"".into(),
            });
        };
        Ok(Self {
            endpoint: Some((host, port).into()),
            forward: Some(listen.into()),
            ..Self::alone(vec![(listen, port)])
        })
    }

    /// Behind QEMU's own network, where nobody reaches it.
    pub(super) const fn alone(forwards: Vec<(SocketAddrV4, u16)>) -> Self {
        let guest = Ipv4Addr::new(10, 0, 2, 15);
        Self {
            ip: guest,
            gateway: USER_NET_HOST,
            network: VmNetwork::User { guest, forwards },
            endpoint: None,
            forward: None,
        }
    }

    /// Where a further port of the guest is reached: behind QEMU's own network through one more port of this host.
    ///
    /// # Errors
    /// [`DeployError::Io`] where no port is free.
    pub(super) fn reach(&mut self, port: u16) -> Result<SocketAddr, DeployError> {
        let VmNetwork::User { forwards, .. } = &mut self.network else {
            return Ok((self.ip, port).into());
        };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let free = free.map_err(|source| DeployError::Io {
            what: format!("looking for a free port that leads to port {port} of the guest"),
            source,
        })?;
        forwards.push((SocketAddrV4::new(Ipv4Addr::LOCALHOST, free.port()), port));
        Ok(free)
    }
}

/// What is decided once for all guests of a deployment.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub(super) guest: &'a Guest,
    pub(super) made: &'a Made,
    pub(super) accelerator: Accelerator,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u64,
    /// The keys of guests that are logged in to.
    pub(super) keys: Option<&'a Keys>,
}

impl Plan<'_> {
    /// The files that the guest of a service has for itself, written: its overlays, the first with boot arguments where its disk holds them, and its
    /// seed where it has a cloud-init.
    ///
    /// # Errors
    /// [`DeployError`] for an argument that a unit of systemd cannot carry, or a file that cannot be written.
    pub(super) async fn own(
        &self,
        state: &Path,
        attempt: AttemptId,
        service: &ServiceSpec,
        place: &Place,
        mut overlays: Vec<Overlay>,
    ) -> Result<Own, DeployError> {
        if let (Some(at), Some(overlay)) = (self.guest.append_at, overlays.first_mut())
            && let Some(arguments) = self.filled(self.guest.append.as_ref(), service, place)?
        {
            overlay.put_arguments(at, &arguments).await?;
        }
        let seed = match self.guest.image {
            Image::Cloud(_) => Some(seed(attempt, service, place, self.keys)?),
            _ => None,
        };
        let name = format!("{}.seed", service.name);
        let seed = seed
            .map(|bytes| Scratch::write(state, attempt, &name, &bytes))
            .transpose()?;
        Ok(Own { overlays, seed })
    }

    /// What QEMU is to start for a service, at a place, with the files that it has for itself.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] for an argument that a guest's command line cannot carry.
    pub(super) fn vm(&self, service: &ServiceSpec, place: &Place, own: &Own) -> Result<VmSpec, DeployError> {
        let fill = |template: &Option<Template>| self.filled(template.as_ref(), service, place);
        Ok(VmSpec {
            machine: self.guest.machine,
            accelerator: self.accelerator,
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            kernel: self.guest.kernel.clone(),
            initrd: self.initrd(fill(&self.guest.initrd_append)?),
            append: self
                .guest
                .kernel
                .is_some()
                .then(|| fill(&self.guest.append))
                .transpose()?
                .flatten(),
            disks: self.disks(own),
            nic: self.guest.nic,
            mac: mac_text(mac(place.ip)),
            network: place.network.clone(),
            random: self.guest.random,
            monitor: String::new(),
            console: String::new(),
        })
    }

    /// A text of the description for the guest of a service.
    fn filled(
        &self,
        template: Option<&Template>,
        service: &ServiceSpec,
        place: &Place,
    ) -> Result<Option<String>, DeployError> {
        let args = service_args(service, service.port.map(|port| (place.ip, port).into()));
        let filling = Filling {
            ip: place.ip,
            mask: MASK,
            gateway: place.gateway,
            port: service.port.unwrap_or(0),
            service: service.name.as_str(),
            args: &args,
        };
        let filled = template.map(|template| template.fill(&filling));
        filled.transpose().map_err(|error| unsafe_argument(service, &error))
    }

    /// What a guest boots from, by size.
    pub(super) fn sizes(&self) -> Vec<Size> {
        let (initrd, made) = match self.made {
            Made::Initramfs(path) => (Some(path), None),
            Made::Disk(path) => (self.guest.initrd.as_ref(), Some((Part::RootFs, path))),
            Made::Program(path) => (self.guest.initrd.as_ref(), Some((Part::Program, path))),
            Made::Nothing => (self.guest.initrd.as_ref(), None),
        };
        let files = [
            (Part::Kernel, self.guest.kernel.as_ref()),
            (Part::Initrd, initrd),
            (made.map_or(Part::RootFs, |(part, _)| part), made.map(|(_, path)| path)),
        ];
        let own = files.into_iter().filter_map(|(part, path)| Some((part, path?)));
        let disks = self.guest.disks.iter().map(|disk| (Part::Disk, &disk.path));
        own.chain(disks)
            .filter_map(|(part, path)| size::file(part, path))
            .collect()
    }

    fn initrd(&self, append: Option<String>) -> Option<String> {
        let path = match self.made {
            Made::Initramfs(path) => path,
            _ => self.guest.initrd.as_ref()?,
        };
        let path = path.to_string_lossy();
        Some(append.map_or_else(|| path.clone().into_owned(), |append| format!("{path} {append}")))
    }

    /// The disks in the order in which the guest finds them: what was made to boot from, its own, the program, the seed.
    fn disks(&self, own: &Own) -> Vec<VmDisk> {
        let raw = |path: &Path| VmDisk {
            path: path.to_owned(),
            format: DiskFormat::Raw,
            read_only: true,
        };
        let (root, program) = match self.made {
            Made::Disk(path) => (Some(raw(path)), None),
            Made::Program(path) => (None, Some(raw(path))),
            _ => (None, None),
        };
        let mut overlays = own.overlays.iter();
        let disk = |disk: &Disk| match disk.writable.then(|| overlays.next()).flatten() {
            Some(overlay) => VmDisk {
                path: overlay.path().to_owned(),
                format: DiskFormat::Qcow2,
                read_only: false,
            },
            None => VmDisk {
                format: disk.format,
                ..raw(&disk.path)
            },
        };
        let disks = root.into_iter().chain(self.guest.disks.iter().map(disk));
        let seed = own.seed.as_ref().map(|seed| raw(seed.path()));
        disks.chain(program).chain(seed).collect()
    }
}

/// What the cloud-init of a service's guest reads.
fn seed(attempt: AttemptId, service: &ServiceSpec, place: &Place, keys: Option<&Keys>) -> Result<Vec<u8>, DeployError> {
    let args = service_args(service, service.port.map(|port| (place.ip, port).into()));
    template::check(&args).map_err(|error| unsafe_argument(service, &error))?;
    let seed = Seed {
        instance: &format!("{attempt}-{}", service.name),
        service: service.name.as_str(),
        ip: place.ip,
        mask: MASK,
        gateway: place.gateway,
        mac: &mac_text(mac(place.ip)),
        args: &args,
        access: keys.map(Keys::access),
    };
    seed.disk().map_err(|error| DeployError::Platform {
        platform: "guest image",
        message: error.to_string(),
    })
}

fn unsafe_argument(service: &ServiceSpec, error: &UnsafeArgument) -> DeployError {
    DeployError::Unmet {
        need: format!("service {}: {error}", service.name),
        remedy: "change the workload's parameters, or run it on another platform".into(),
    }
}

/// The virtual CPUs and the memory that a guest gets, with what of it nobody declared.
pub(super) fn size(guest: &Guest, spec: &GuestSpec, resources: &Resources) -> (u32, u64, Vec<String>) {
    let mut deviations = Vec::new();
    let of_cpuset = resources
        .cpuset
        .as_ref()
        .and_then(|cpus| u32::try_from(cpus.cpus().len()).ok());
    let vcpus = spec.vcpus.or(of_cpuset).unwrap_or_else(|| {
        deviations.push("the guest has 1 virtual CPU, since neither a cpuset nor vcpus is declared".into());
        1
    });
    let memory = resources.memory_mib.unwrap_or_else(|| {
        deviations.push(format!(
            "the guest has {} MiB of memory, since no limit is declared",
            guest.memory_mib
        ));
        guest.memory_mib
    });
    (vcpus.max(1), memory, deviations)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use protocol::spec::{Acceleration, GuestNetwork, HttpProbe, Probe, UserNetSpec};

    use super::*;

    fn guest(text: &str) -> Guest {
        Guest::parse(Path::new("x.toml"), text).unwrap()
    }

    fn service(args: &[&str]) -> ServiceSpec {
        ServiceSpec {
            name: "tcp".parse().unwrap(),
            args: args.iter().map(|&arg| arg.into()).collect(),
            place: protocol::surroundings::Place::Platform,
            port: Some(5000),
            ready: Probe::Http(HttpProbe {
                path: "/".into(),
                status: 200,
                body_bytes: None,
            }),
        }
    }

    async fn vm(guest: &Guest, made: &Made, args: &[&str]) -> Result<VmSpec, DeployError> {
        let plan = Plan {
            guest,
            made,
            accelerator: Accelerator::Tcg,
            vcpus: 1,
            memory_mib: 64,
            keys: None,
        };
        let place = Place::behind("127.0.0.1".parse().unwrap(), Some(5000)).unwrap();
        let state = tempfile::tempdir().unwrap();
        let own = plan
            .own(state.path(), AttemptId::fresh(), &service(args), &place, Vec::new())
            .await?;
        plan.vm(&service(args), &place, &own)
    }

    #[tokio::test]
    async fn the_service_listens_where_the_guest_is() {
        let osv = guest("preset = 'osv'\nkernel = '/k'");
        let made = Made::Disk("/s/x.raw".into());
        let vm = vm(&osv, &made, &["tcp", "--listen", "{listen}"]).await.unwrap();
        let append = vm.append.unwrap();
        assert!(append.ends_with("/workload tcp --listen 10.0.2.15:5000"), "{append}");
        assert!(append.contains("--ip=eth0,10.0.2.15,255.255.255.0"), "{append}");
        assert!(vm.disks[0].read_only);
    }

    #[tokio::test]
    async fn an_argument_that_would_split_is_refused() {
        let osv = guest("preset = 'osv'\nkernel = '/k'");
        let error = vm(&osv, &Made::Nothing, &["tcp", "x; /other"])
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("service tcp") && error.contains("x; /other"), "{error}");
    }

    #[tokio::test]
    async fn a_multiboot_module_has_arguments() {
        let text = "kernel = '/k/chainloader'\ninitrd = '/k/service.elf'\ninitrd_append = '{ip} {port}'\nready = 'x'";
        let vm = vm(&guest(text), &Made::Nothing, &[]).await.unwrap();
        assert_eq!(vm.initrd.unwrap(), "/k/service.elf 10.0.2.15 5000");
    }

    #[tokio::test]
    async fn a_cloud_image_has_the_program_and_a_seed_behind_its_disk() {
        let text = "preset = 'cloud'\n[[disks]]\npath = '/a'\nformat = 'raw'";
        let made = Made::Program("/s/program.raw".into());
        let vm = vm(&guest(text), &made, &["tcp", "--listen", "{listen}"]).await.unwrap();
        let shown: Vec<_> = vm.disks.iter().map(|disk| disk.path.to_str().unwrap()).collect();
        assert_eq!(shown[..2], ["/a", "/s/program.raw"]);
        assert!(shown[2].ends_with("-tcp.seed"), "{shown:?}");
        assert!(vm.disks.iter().all(|disk| disk.read_only));
        assert_eq!(vm.append, None);
    }

    #[tokio::test]
    async fn a_seed_takes_no_argument_that_would_split() {
        let text = "preset = 'cloud'\n[[disks]]\npath = '/a'\nformat = 'raw'";
        let error = vm(&guest(text), &Made::Nothing, &["tcp", "a\nExecStop=/x"])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("cannot pass through"), "{error}");
    }

    /// What QEMU is told of an OSv whose root file system is not ours.
    async fn passed_through(text: &str) -> String {
        let guest = guest(&format!(
            "preset = 'osv'\nimage = 'none'\nkernel = '/k/loader-stripped.elf'\n{text}"
        ));
        let mut spec = vm(&guest, &Made::Nothing, &["tcp"]).await.unwrap();
        (spec.monitor, spec.console) = ("monitor".into(), "console".into());
        crate::qemu::args::args(&spec).join("\n")
    }

    #[tokio::test]
    async fn a_zfs_or_ramfs_of_osv_is_passed_through() {
        let net = "--ip=eth0,{ip},{mask} --defaultgw={gateway}";
        let disk = "[[disks]]\npath = '/i/usr.img'\nformat = 'qcow2'";
        let zfs = passed_through(&format!("append = '--rootfs=zfs {net} /app {{port}}'\n{disk}")).await;
        insta::assert_snapshot!("osv_on_zfs", zfs);
        let ramfs = passed_through(&format!("append = '--rootfs=ramfs {net} /app {{port}}'")).await;
        insta::assert_snapshot!("osv_on_ramfs", ramfs);
    }

    #[test]
    fn what_nobody_declared_is_said() {
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
}
