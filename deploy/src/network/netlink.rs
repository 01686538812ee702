//! What only netlink can do (rtnetlink(7)): removing an interface of any kind.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::interface;

/// `<linux/rtnetlink.h>`: remove an interface.
const RTM_DELLINK: u16 = 17;
/// `<linux/netlink.h>`: the reply to a message: 0, or a negative error number.
const NLMSG_ERROR: u16 = 2;
/// This is a request that wants an acknowledgement.
const REQUEST_ACK: u16 = 0x1 | 0x4;
/// Bytes of the message header, and of the interface information after it.
const HALF: usize = 16;
/// Bytes of the whole message.
const LENGTH: u32 = 32;

/// Removes an interface of any kind; removing one end of a veth removes the other.
///
/// # Errors
/// The system's error; `NotFound` if there is no such interface, `PermissionDenied` without `CAP_NET_ADMIN`.
pub fn delete(name: &str) -> io::Result<()> {
    let index = interface::index(name).ok_or(io::ErrorKind::NotFound)?;
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    send(kernel.as_raw_fd(), &request(index), MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    parse_reply(&answer[..length])
}

/// `struct nlmsghdr`, then `struct ifinfomsg`.
fn request(index: u32) -> [u8; 2 * HALF] {
    let mut message = [0; 2 * HALF];
    message[..4].copy_from_slice(&LENGTH.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_DELLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_ACK.to_ne_bytes());
    message[HALF + 4..HALF + 8].copy_from_slice(&index.to_ne_bytes());
    message
}

fn parse_reply(answer: &[u8]) -> io::Result<()> {
    let word = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    match (kind.map(u16::from_ne_bytes), word(HALF).map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        _ => Err(io::Error::other("malformed netlink reply")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_parsed() {
        let mut answer = vec![0; 36];
        assert!(parse_reply(&answer).is_err(), "not a reply");
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        parse_reply(&answer).unwrap();
        answer[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(
            parse_reply(&answer).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        assert!(parse_reply(&answer[..7]).is_err());
    }

    #[test]
    fn a_missing_interface_is_not_found() {
        assert_eq!(delete("jung-nothing").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
