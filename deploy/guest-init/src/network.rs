//! Configures the network by ioctl, which needs no library.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::command_line::Address;

/// How long the network card may take to appear after its driver is loaded.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Address family IPv4.
#[expect(clippy::cast_possible_truncation, reason = "2, in the kernel's own type")]
const FAMILY: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
/// The interface is up.
#[expect(clippy::cast_possible_truncation, reason = "0x41, in the kernel's own type")]
const UP: libc::c_short = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;

/// Brings up `lo`, and `eth0` with its address and the default route.
pub fn configure(address: &Address) -> Result<(), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("{what}: {error}")
    };
    await_card()?;
    let socket = socket().map_err(failed("a socket"))?;
    up(&socket, "lo").map_err(failed("lo"))?;
    set(&socket, "eth0", libc::SIOCSIFADDR as _, address.ip).map_err(failed("the address of eth0"))?;
    set(&socket, "eth0", libc::SIOCSIFNETMASK as _, address.mask).map_err(failed("the mask of eth0"))?;
    up(&socket, "eth0").map_err(failed("eth0"))?;
    route(&socket, address.gateway).map_err(failed("the default route"))
}

fn await_card() -> Result<(), String> {
    let until = Instant::now() + TIMEOUT;
    while !Path::new("/sys/class/net/eth0").exists() {
        if Instant::now() >= until {
            return Err("there is no eth0: is the network driver among the modules?".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn socket() -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "an unbound datagram socket")]
    // SAFETY: no pointers are passed; the descriptor is owned at once.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

fn request(interface: &str) -> libc::ifreq {
    #[expect(unsafe_code, reason = "the structure has no other initializer")]
    // SAFETY: an ifreq is integers and a union of such; all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(15).zip(interface.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    request
}

fn call(socket: &OwnedFd, what: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    #[expect(unsafe_code, reason = "an ioctl")]
    // SAFETY: every `what` passed here takes a pointer to an ifreq, which outlives the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), what as _, std::ptr::from_mut(request)) };
    if outcome < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn set(socket: &OwnedFd, interface: &str, what: libc::c_ulong, address: Ipv4Addr) -> io::Result<()> {
    let mut request = request(interface);
    request.ifr_ifru.ifru_addr = sockaddr(address);
    call(socket, what, &mut request)
}

fn up(socket: &OwnedFd, interface: &str) -> io::Result<()> {
    let mut request = request(interface);
    request.ifr_ifru.ifru_flags = UP;
    call(socket, libc::SIOCSIFFLAGS as _, &mut request)
}

fn route(socket: &OwnedFd, gateway: Ipv4Addr) -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "the structure has no other initializer, and an ioctl reads it"
    )]
    // SAFETY: an rtentry is integers and pointers that may be null; it outlives the call.
    let outcome = unsafe {
        let mut entry: libc::rtentry = std::mem::zeroed();
        entry.rt_dst = sockaddr(Ipv4Addr::UNSPECIFIED);
        entry.rt_genmask = sockaddr(Ipv4Addr::UNSPECIFIED);
        entry.rt_gateway = sockaddr(gateway);
        entry.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCADDRT as _, &raw const entry)
    };
    if outcome < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn sockaddr(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = from.cast_signed() as libc::c_char;
    }
    libc::sockaddr {
        sa_family: FAMILY,
        sa_data: data,
    }
}
