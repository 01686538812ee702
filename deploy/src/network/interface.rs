//! Network interfaces of this host by ioctl: the program `ip` is not needed.

use std::ffi::{CString, c_char, c_int, c_short, c_ulong};
use std::fs::OpenOptions;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `<linux/sockios.h>`: create a bridge.
const SIOCBRADDBR: c_ulong = 0x89a0;
/// Remove a bridge.
const SIOCBRDELBR: c_ulong = 0x89a1;
/// Connect an interface to a bridge.
const SIOCBRADDIF: c_ulong = 0x89a2;
/// `<linux/sockios.h>`: a private request of the driver; for a bridge, an array of arguments.
const SIOCDEVPRIVATE: c_ulong = 0x89f0;
/// `<linux/if_bridge.h>`: list the ports of a bridge.
const BRCTL_GET_PORT_LIST: c_ulong = 7;
/// Address family IPv4.
#[expect(clippy::cast_possible_truncation, reason = "2, in the kernel's own type")]
const FAMILY: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
/// The interface is up.
#[expect(clippy::cast_possible_truncation, reason = "1, in the kernel's own type")]
const UP: c_short = libc::IFF_UP as c_short;
/// A tap device whose packets carry a virtio header, as QEMU opens it.
#[expect(clippy::cast_possible_truncation, reason = "0x5002, in the kernel's own type")]
const TAP: c_short = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as c_short;
/// Longest interface name, bytes.
const MAX_NAME: usize = 15;

/// An `ifreq` for an interface name of 1 to 15 letters, digits and `-`.
fn request(name: &str) -> io::Result<libc::ifreq> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not an interface name"),
        ));
    }
    #[expect(unsafe_code, reason = "the structure has no other initializer")]
    // SAFETY: an ifreq is integers and a union of such; all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as c_char;
    }
    Ok(request)
}

/// A socket to make ioctl calls on.
fn socket() -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "an unbound datagram socket")]
    // SAFETY: no pointers are passed; the descriptor is owned at once.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// An ioctl that takes, and may fill in, an `ifreq`.
fn call(fd: &impl AsRawFd, what: c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: every `what` passed in this file takes a pointer to an ifreq, which outlives the call.
    let outcome = unsafe { libc::ioctl(fd.as_raw_fd(), what as _, std::ptr::from_mut(request)) };
    done(outcome)
}

fn done(outcome: c_int) -> io::Result<()> {
    if outcome < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The index of an interface; `None`: no such interface.
#[must_use]
pub fn index(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// The names of all interfaces.
///
/// # Errors
/// The system's error.
pub fn names() -> io::Result<Vec<String>> {
    let interfaces = nix::net::if_::if_nameindex()?;
    Ok(interfaces
        .iter()
        .map(|one| one.name().to_string_lossy().into_owned())
        .collect())
}

/// The IPv4 networks of this host's interfaces, as address and mask.
///
/// # Errors
/// The system's error.
pub fn networks() -> io::Result<Vec<(Ipv4Addr, Ipv4Addr)>> {
    let addresses = nix::ifaddrs::getifaddrs()?;
    Ok(addresses
        .filter_map(|one| Some((one.address?.as_sockaddr_in()?.ip(), one.netmask?.as_sockaddr_in()?.ip())))
        .collect())
}

/// The IPv4 address and mask of an interface; `None`: it has none, or does not exist.
///
/// # Errors
/// The system's error.
pub fn address(name: &str) -> io::Result<Option<(Ipv4Addr, Ipv4Addr)>> {
    let mut addresses = nix::ifaddrs::getifaddrs()?;
    Ok(addresses.find_map(|one| {
        let own = one.interface_name == name;
        let pair = (one.address?.as_sockaddr_in()?.ip(), one.netmask?.as_sockaddr_in()?.ip());
        own.then_some(pair)
    }))
}

/// All IPv4 addresses of an interface; none where it has none, or is not there.
///
/// # Errors
/// The system's error.
pub fn addresses(name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let addresses = nix::ifaddrs::getifaddrs()?;
    let own = addresses.filter(|one| one.interface_name == name);
    Ok(own
        .filter_map(|one| Some(one.address?.as_sockaddr_in()?.ip()))
        .collect())
}

/// Sets an interface's address.
///
/// # Errors
/// The system's error; `PermissionDenied` without `CAP_NET_ADMIN`.
pub fn set_address(name: &str, address: Ipv4Addr, mask: Ipv4Addr) -> io::Result<()> {
    let socket = socket()?;
    for (what, value) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, mask)] {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_addr = sockaddr(value);
        call(&socket, what, &mut request)?;
    }
    Ok(())
}

fn sockaddr(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = from.cast_signed() as c_char;
    }
    libc::sockaddr {
        sa_family: FAMILY,
        sa_data: data,
    }
}

/// Brings an interface up.
///
/// # Errors
/// The system's error.
pub fn set_up(name: &str) -> io::Result<()> {
    let socket = socket()?;
    let mut request = request(name)?;
    call(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    set_flags(&socket, request, |flags| flags | UP)
}

fn set_down(name: &str) -> io::Result<()> {
    let socket = socket()?;
    let mut request = request(name)?;
    call(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    set_flags(&socket, request, |flags| flags & !UP)
}

fn set_flags(socket: &OwnedFd, mut request: libc::ifreq, change: impl Fn(c_short) -> c_short) -> io::Result<()> {
    #[expect(unsafe_code, reason = "reads a union")]
    // SAFETY: SIOCGIFFLAGS has just filled in this member.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = change(flags);
    call(socket, libc::SIOCSIFFLAGS, &mut request)
}

/// Creates a bridge without spanning tree, so that a port forwards from its first packet on.
///
/// # Errors
/// The system's error; `AlreadyExists` if the name is taken.
pub fn add_bridge(name: &str) -> io::Result<()> {
    bridge_call(name, SIOCBRADDBR)
}

/// Removes a bridge; its ports remain, unconnected.
///
/// # Errors
/// The system's error.
pub fn delete_bridge(name: &str) -> io::Result<()> {
    set_down(name)?;
    bridge_call(name, SIOCBRDELBR)
}

fn bridge_call(name: &str, what: c_ulong) -> io::Result<()> {
    request(name)?;
    let socket = socket()?;
    let name = CString::new(name)?;
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: both calls read a NUL-terminated name, which outlives the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), what as _, name.as_ptr()) };
    done(outcome)
}

/// Sets an interface's MAC address.
///
/// A bridge without its own takes the lowest MAC address of its ports. It would change under the guests that know it, and everything that
/// [`set_neighbour`] has set would be lost.
///
/// # Errors
/// The system's error.
pub fn set_mac(name: &str, mac: [u8; 6]) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_hwaddr = hardware(mac);
    call(&socket()?, libc::SIOCSIFHWADDR, &mut request)
}

fn hardware(mac: [u8; 6]) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data.iter_mut().zip(mac) {
        *to = from.cast_signed() as c_char;
    }
    libc::sockaddr {
        sa_family: libc::ARPHRD_ETHER,
        sa_data: data,
    }
}

/// Adds a permanent ARP entry, so that this host never has to resolve the address.
///
/// The kernel repeats an unanswered ARP request only once a second, so without the entry a guest could be reached up to a second after it came up. The
/// entry is removed with the interface.
///
/// # Errors
/// The system's error.
pub fn set_neighbour(interface: &str, address: Ipv4Addr, mac: [u8; 6]) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the structure has no other initializer")]
    // SAFETY: an arpreq is integers; all zeros is a valid value.
    let mut entry: libc::arpreq = unsafe { std::mem::zeroed() };
    entry.arp_pa = sockaddr(address);
    entry.arp_ha = hardware(mac);
    entry.arp_flags = libc::ATF_PERM | libc::ATF_COM;
    for (to, from) in entry.arp_dev.iter_mut().zip(request(interface)?.ifr_name) {
        *to = from;
    }
    let socket = socket()?;
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: SIOCSARP reads an arpreq, which outlives the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSARP as _, &raw const entry) };
    done(outcome)
}

/// The number of interfaces connected to a bridge, whoever connected them.
///
/// # Errors
/// The system's error: there is no such interface, or it is not a bridge.
pub fn ports(bridge: &str) -> io::Result<usize> {
    let mut request = request(bridge)?;
    // Indexed by port number; a bridge has at most 1024 ports.
    let mut indices: [c_int; 1024] = [0; 1024];
    let mut words: [c_ulong; 4] = [
        BRCTL_GET_PORT_LIST,
        indices.as_mut_ptr() as c_ulong,
        indices.len() as c_ulong,
        0,
    ];
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    call(&socket()?, SIOCDEVPRIVATE, &mut request)?;
    Ok(indices.iter().filter(|&&index| index != 0).count())
}

/// Connects an interface to a bridge.
///
/// # Errors
/// The system's error.
pub fn add_port(bridge: &str, port: &str) -> io::Result<()> {
    let index = index(port).ok_or(io::ErrorKind::NotFound)?;
    let mut request = request(bridge)?;
    request.ifr_ifru.ifru_ifindex = index.try_into().map_err(io::Error::other)?;
    call(&socket()?, SIOCBRADDIF, &mut request)
}

/// Creates a tap device that persists until [`delete_tap`].
///
/// # Errors
/// The system's error; `PermissionDenied` without `CAP_NET_ADMIN`, `NotFound` without the kernel's `tun`.
pub fn add_tap(name: &str) -> io::Result<()> {
    set_persistent(name, true)
}

/// Removes a tap device that no process has open.
///
/// # Errors
/// The system's error; `ResourceBusy` while a guest has it open.
pub fn delete_tap(name: &str) -> io::Result<()> {
    set_persistent(name, false)
}

fn set_persistent(name: &str, persistent: bool) -> io::Result<()> {
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = TAP;
    call(&tun, libc::TUNSETIFF as c_ulong, &mut request)?;
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: TUNSETPERSIST takes a number, not a pointer.
    let outcome = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETPERSIST as _, c_int::from(persistent)) };
    done(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_name_is_refused_before_the_kernel_sees_it() {
        for bad in ["", "a b", "../x", "a/b", "sixteen-letters-", "a\0"] {
            assert_eq!(add_tap(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
            assert_eq!(
                add_bridge(bad).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn loopback_is_found() {
        assert!(index("lo").is_some());
        assert!(names().unwrap().contains(&"lo".to_owned()));
        assert_eq!(address("jung-nothing").unwrap(), None);
        assert!(addresses("lo").unwrap().contains(&Ipv4Addr::LOCALHOST));
        assert_eq!(addresses("jung-nothing").unwrap(), [] as [Ipv4Addr; 0]);
    }
}
