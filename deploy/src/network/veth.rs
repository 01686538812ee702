//! Reserves an address on a runner's bridge for a container whose interface another program creates.

use std::io;
use std::net::Ipv4Addr;

use super::bridge::{Bridge, creation_error, lock_changes};
use super::subnet::{Subnet, mac};
use super::{interface, netlink};
use crate::DeployError;

/// An address and an interface name for one container, reserved while this lives. Dropping it removes the interface of that name, and the bridge if it
/// was the last one.
#[derive(Debug)]
pub(crate) struct AddressReservation {
    bridge: Bridge,
    subnet: Subnet,
    last: u8,
}

impl AddressReservation {
    /// Reserves a free address, and creates the bridge if there is none. The host's ARP table knows the container's MAC address from now on.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] without the privilege or a free address, else [`DeployError::Io`].
    pub(crate) fn new(bridge: &Bridge) -> Result<Self, DeployError> {
        let mut reserved = lock_changes();
        let (subnet, last) = bridge.free_address(&reserved)?;
        reserved.insert(bridge.port(last));
        drop(reserved);
        let reservation = Self {
            bridge: bridge.clone(),
            subnet,
            last,
        };
        let ip = reservation.ip();
        interface::set_neighbour(&bridge.name(), ip, mac(ip))
            .map_err(|error| creation_error(&reservation.interface(), error))?;
        Ok(reservation)
    }

    /// The name of the host's end of the veth.
    pub(crate) fn interface(&self) -> String {
        self.bridge.port(self.last)
    }

    /// The name of the bridge that the host's end is a port of.
    pub(crate) fn bridge(&self) -> String {
        self.bridge.name()
    }

    /// The container's address.
    pub(crate) const fn ip(&self) -> Ipv4Addr {
        self.subnet.at(self.last)
    }

    /// The host's address, the container's gateway.
    pub(crate) const fn host(&self) -> Ipv4Addr {
        self.subnet.host()
    }

    /// Releases the address and removes the interface. Returns what could not be removed.
    pub(crate) fn release(self) -> Vec<String> {
        self.remove()
    }

    /// Does nothing the second time.
    fn remove(&self) -> Vec<String> {
        let mut reserved = lock_changes();
        let name = self.interface();
        if !reserved.remove(&name) {
            return Vec::new();
        }
        let mut left = Vec::new();
        match netlink::delete(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => left.push(format!("interface {name}: {error}")),
            _ => {}
        }
        left.extend(self.bridge.remove_if_unused());
        left
    }
}

impl Drop for AddressReservation {
    fn drop(&mut self) {
        for left in self.remove() {
            tracing::warn!("could not remove {left}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs CAP_NET_ADMIN"]
    fn a_reserved_address_is_not_given_twice_and_is_reused_once_released() {
        let bridge = Bridge::of(&format!("reservation-{}", std::process::id()).parse().unwrap());
        let first = AddressReservation::new(&bridge).unwrap();
        let second = AddressReservation::new(&bridge).unwrap();
        let tap = bridge.tap().unwrap();
        let last = |address: Ipv4Addr| address.octets()[3];
        assert_eq!([last(first.ip()), last(second.ip()), last(tap.guest())], [2, 3, 4]);
        assert_eq!(first.release(), Vec::<String>::new());
        assert_eq!(
            last(AddressReservation::new(&bridge).unwrap().ip()),
            2,
            "an address is reused"
        );
        drop(tap);
        drop(second);
        assert_eq!(bridge.leftovers(), Vec::<String>::new());
    }
}
