//! Turns a guest's description and a service into a [`VmSpec`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;

use protocol::facts::ImageRecord;
use protocol::ids::AttemptId;
use protocol::size::{Part, Size};
use protocol::spec::{GuestSpec, Resources};

use super::described;
use super::files::{GuestFiles, Overlay, TempFile};
use super::image::BuiltImage;
use super::spec::{Accelerator, VmDisk, VmNetwork, VmSpec};
use super::ssh::Keys;
use crate::guest::linux::seed::Seed;
use crate::guest::template::{self, Template, UnsafeArgument, Values};
use crate::guest::{Disk, DiskFormat, Guest, Image, ROOT, Share};
use crate::network::bridge::Tap;
use crate::network::subnet::{MASK, mac, mac_text};
use crate::{DeployError, Service, network, size};

/// The host's address as seen by guests on QEMU's user-mode network.
pub(super) const USER_NET_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// A guest's addresses and its connection to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetConfig {
    /// Its address.
    pub(super) ip: Ipv4Addr,
    /// The host's address in that network.
    pub(super) gateway: Ipv4Addr,
    /// What its network card is connected to.
    pub(super) network: VmNetwork,
    /// Where its service is reached, if it listens.
    pub(super) endpoint: Option<SocketAddr>,
    /// The port of this host that is forwarded to it.
    pub(super) forward: Option<SocketAddr>,
}

impl NetConfig {
    /// On a tap.
    pub(super) fn on_tap(tap: &Tap, vhost: bool, vnet_hdr: bool, port: Option<u16>) -> Self {
        Self {
            ip: tap.guest(),
            gateway: tap.host(),
            network: VmNetwork::Tap {
                name: tap.name(),
                vhost,
                vnet_hdr,
            },
            endpoint: port.map(|port| (tap.guest(), port).into()),
            forward: None,
        }
    }

    /// On QEMU's user-mode network, reached through a port of this host.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if the host is reached by IPv6, which QEMU does not forward.
    pub(super) fn user_mode(host: IpAddr, port: Option<u16>) -> Result<Self, DeployError> {
        let Some(port) = port else {
            return Ok(Self::with_forwards(Vec::new()));
        };
        let listen = network::listen_address(host, port);
        let SocketAddr::V4(listen) = listen else {
            return Err(DeployError::Unmet {
                need: format!("network = \"user\" forwards IPv4 only, and the address of this host is {host}"),
                remedy: "give the runner an IPv4 address, or use network = \"bridge\"".into(),
            });
        };
        Ok(Self {
            endpoint: Some((host, port).into()),
            forward: Some(listen.into()),
            ..Self::with_forwards(vec![(listen, port)])
        })
    }

    /// On QEMU's user-mode network with these forwarded ports.
    pub(super) const fn with_forwards(forwards: Vec<(SocketAddrV4, u16)>) -> Self {
        let guest = Ipv4Addr::new(10, 0, 2, 15);
        Self {
            ip: guest,
            gateway: USER_NET_HOST,
            network: VmNetwork::User { guest, forwards },
            endpoint: None,
            forward: None,
        }
    }

    /// The address of a further port of the guest; on the user-mode network, one more port of this host is forwarded to it.
    ///
    /// # Errors
    /// [`DeployError::Io`] if no port is free.
    pub(super) fn reach_port(&mut self, port: u16) -> Result<SocketAddr, DeployError> {
        let VmNetwork::User { forwards, .. } = &mut self.network else {
            return Ok((self.ip, port).into());
        };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let free = free.map_err(|source| DeployError::Io {
            what: format!("finding a free port to forward to port {port} of the guest"),
            source,
        })?;
        forwards.push((SocketAddrV4::new(Ipv4Addr::LOCALHOST, free.port()), port));
        Ok(free)
    }
}

/// What is the same for all guests of a deployment.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub(super) guest: &'a Guest,
    pub(super) image: &'a BuiltImage,
    pub(super) accelerator: Accelerator,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u64,
    /// The SSH keys, if the runner logs in to the guests.
    pub(super) keys: Option<&'a Keys>,
}

impl Plan<'_> {
    /// Writes the files of a service's guest: its overlays, the first with boot arguments if its disk holds them, and its seed if it runs cloud-init.
    ///
    /// # Errors
    /// [`DeployError`] for an argument that a systemd unit cannot carry, or a file that cannot be written.
    pub(super) async fn files(
        &self,
        state: &Path,
        attempt: AttemptId,
        service: &Service,
        net: &NetConfig,
        mut overlays: Vec<Overlay>,
    ) -> Result<GuestFiles, DeployError> {
        if let (Some(at), Some(overlay)) = (self.guest.append_at, overlays.first_mut())
            && let Some(arguments) = self.fill_in(self.guest.append.as_ref(), service, net)?
        {
            overlay.write_arguments(at, &arguments).await?;
        }
        let seed = match self.guest.image {
            Image::Cloud(_) => Some(seed(attempt, service, net, self.keys)?),
            _ => None,
        };
        let name = format!("{}.seed", service.name);
        let seed = seed
            .map(|bytes| TempFile::write(state, attempt, &name, &bytes))
            .transpose()?;
        Ok(GuestFiles {
            overlays,
            seed,
            config: None,
        })
    }

    /// The VM for a service.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] for an argument that a guest's command line cannot carry.
    pub(super) fn vm(&self, service: &Service, net: &NetConfig, files: &GuestFiles) -> Result<VmSpec, DeployError> {
        let fill = |template: &Option<Template>| self.fill_in(template.as_ref(), service, net);
        Ok(VmSpec {
            vmm: self.guest.vmm,
            config: None,
            events: None,
            machine: self.guest.machine,
            cpu: self.guest.cpu.clone(),
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
            disks: self.disks(files),
            shares: Vec::new(),
            nic: self.guest.nic,
            mac: mac_text(mac(net.ip)),
            network: net.network.clone(),
            random: self.guest.random,
            monitor: String::new(),
            console: String::new(),
        })
    }

    /// A template of the description, filled in for a service.
    fn fill_in(
        &self,
        template: Option<&Template>,
        service: &Service,
        net: &NetConfig,
    ) -> Result<Option<String>, DeployError> {
        let args = self.args(service, net)?;
        let values = Values {
            ip: net.ip,
            mask: MASK,
            gateway: net.gateway,
            port: service.port.unwrap_or(0),
            service: service.name.as_str(),
            args: &args,
        };
        let text = template.map(|template| template.fill(&values));
        text.transpose().map_err(|error| unsafe_argument(service, &error))
    }

    /// The arguments that the guest gets at its start; a described service in an initramfs has them in a file.
    fn args(&self, service: &Service, net: &NetConfig) -> Result<Vec<String>, DeployError> {
        match (service.description(), self.image) {
            (Some(_), BuiltImage::Initramfs(_)) => Ok(Vec::new()),
            (Some(described), _) => described::args(service, described, net.ip),
            (None, _) => Ok(service.workload_args(service.port.map(|port| (net.ip, port).into()))),
        }
    }

    /// The image that was built for a guest, by content; `None`: none was.
    pub(super) fn record(&self) -> Option<ImageRecord> {
        let (BuiltImage::Initramfs(path) | BuiltImage::Root(path) | BuiltImage::Disk(path) | BuiltImage::Program(path)) =
            self.image
        else {
            return None;
        };
        // Images are named after the hash of their contents.
        let name = path.file_stem()?.to_string_lossy().into_owned();
        Some(ImageRecord {
            id: name
                .rsplit_once('-')
                .map_or_else(|| name.clone(), |(_, hash)| hash.to_owned()),
            name,
            digests: Vec::new(),
        })
    }

    /// The sizes of what a guest boots from.
    pub(super) fn sizes(&self) -> Vec<Size> {
        let (initrd, image) = match self.image {
            BuiltImage::Initramfs(path) => (Some(path), None),
            BuiltImage::Disk(path) => (self.guest.initrd.as_ref(), Some((Part::RootFs, path))),
            BuiltImage::Program(path) => (self.guest.initrd.as_ref(), Some((Part::Program, path))),
            BuiltImage::Nothing | BuiltImage::Root(_) => (self.guest.initrd.as_ref(), None),
        };
        let files = [
            (Part::Kernel, self.guest.kernel.as_ref()),
            (Part::Initrd, initrd),
            (
                image.map_or(Part::RootFs, |(part, _)| part),
                image.map(|(_, path)| path),
            ),
        ];
        let own = files.into_iter().filter_map(|(part, path)| Some((part, path?)));
        let disks = self.guest.disks.iter().map(|disk| (Part::Disk, &disk.path));
        let root = match self.image {
            BuiltImage::Root(dir) => Some(size::tree(Part::RootFs, dir)),
            _ => None,
        };
        let files = own.chain(disks).filter_map(|(part, path)| size::file(part, path));
        files.chain(root).collect()
    }

    fn initrd(&self, append: Option<String>) -> Option<String> {
        let path = match self.image {
            BuiltImage::Initramfs(path) => path,
            _ => self.guest.initrd.as_ref()?,
        };
        let path = path.to_string_lossy();
        Some(append.map_or_else(|| path.clone().into_owned(), |append| format!("{path} {append}")))
    }

    /// The directories that it can mount: the root that was built for it, then its own.
    pub(super) fn shares(&self) -> Vec<Share> {
        let root = match self.image {
            BuiltImage::Root(path) => Some(Share {
                path: path.clone(),
                tag: ROOT.to_owned(),
                writable: false,
            }),
            _ => None,
        };
        root.into_iter().chain(self.guest.shares.iter().cloned()).collect()
    }

    /// The disks in the order in which the guest finds them: the image that was built to boot from, its own, the program, the seed.
    fn disks(&self, files: &GuestFiles) -> Vec<VmDisk> {
        let raw = |path: &Path| VmDisk {
            path: path.to_owned(),
            format: DiskFormat::Raw,
            read_only: true,
        };
        let (root, program) = match self.image {
            BuiltImage::Disk(path) => (Some(raw(path)), None),
            BuiltImage::Program(path) => (None, Some(raw(path))),
            _ => (None, None),
        };
        let mut overlays = files.overlays.iter();
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
        let seed = files.seed.as_ref().map(|seed| raw(seed.path()));
        disks.chain(program).chain(seed).collect()
    }
}

/// The seed that the cloud-init of a service's guest reads.
fn seed(attempt: AttemptId, service: &Service, net: &NetConfig, keys: Option<&Keys>) -> Result<Vec<u8>, DeployError> {
    let args = service.workload_args(service.port.map(|port| (net.ip, port).into()));
    template::check(&args).map_err(|error| unsafe_argument(service, &error))?;
    let seed = Seed {
        instance: &format!("{attempt}-{}", service.name),
        service: service.name.as_str(),
        ip: net.ip,
        mask: MASK,
        gateway: net.gateway,
        mac: &mac_text(mac(net.ip)),
        args: &args,
        access: keys.map(Keys::access),
    };
    seed.disk().map_err(|error| DeployError::Platform {
        platform: "guest image",
        message: error.to_string(),
    })
}

fn unsafe_argument(service: &Service, error: &UnsafeArgument) -> DeployError {
    DeployError::Unmet {
        need: format!("service {}: {error}", service.name),
        remedy: "change the workload's parameters, or run it on another platform".into(),
    }
}

/// A guest's virtual CPUs and memory in MiB, with deviations for what the experiment does not declare.
pub(super) fn size(guest: &Guest, spec: &GuestSpec, resources: &Resources) -> (u32, u64, Vec<String>) {
    let mut deviations = Vec::new();
    let of_cpuset = resources
        .cpuset
        .as_ref()
        .and_then(|cpus| u32::try_from(cpus.cpus().len()).ok());
    let vcpus = spec.vcpus.or(of_cpuset).unwrap_or_else(|| {
        deviations.push("the guest has 1 virtual CPU, because neither cpuset nor vcpus is set".into());
        1
    });
    let memory = resources.memory_mib.unwrap_or_else(|| {
        deviations.push(format!(
            "the guest has {} MiB of memory, because memory_mib is not set",
            guest.memory_mib
        ));
        guest.memory_mib
    });
    (vcpus.max(1), memory, deviations)
}

#[cfg(test)]
mod tests;
