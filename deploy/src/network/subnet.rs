//! The private networks of bridges, and the addresses in them.

use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

/// A /24 network: `.1` is the host, `.2` to `.127` are guests, `.128` to `.254` containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    first: Ipv4Addr,
}

/// The mask of every [`Subnet`].
pub const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The last octet of the first guest's address.
pub const FIRST_GUEST: u8 = 2;
/// The last octet of the last guest's address.
pub const LAST_GUEST: u8 = 127;

impl Subnet {
    /// The network that contains an address.
    #[must_use]
    pub const fn around(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        Self {
            first: Ipv4Addr::new(a, b, c, 0),
        }
    }

    /// A network out of 10.213.0.0/16 for a runner: always the same one, unless it overlaps one of the host's own networks (address and mask).
    #[must_use]
    pub fn free_for(runner: &str, taken: &[(Ipv4Addr, Ipv4Addr)]) -> Option<Self> {
        let start = Sha256::digest(runner.as_bytes())[0];
        (0..=u8::MAX)
            .map(|step| Self {
                first: Ipv4Addr::new(10, 213, start.wrapping_add(step), 0),
            })
            .find(|subnet| !taken.iter().any(|&(address, mask)| subnet.overlaps(address, mask)))
    }

    /// The host's address in it, the guests' gateway.
    #[must_use]
    pub const fn host(self) -> Ipv4Addr {
        self.at(1)
    }

    /// The address with this last octet.
    #[must_use]
    pub const fn at(self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.first.octets();
        Ipv4Addr::new(a, b, c, last)
    }

    fn overlaps(self, address: Ipv4Addr, mask: Ipv4Addr) -> bool {
        let both = mask & MASK;
        address & both == self.first & both
    }
}

/// A guest's MAC address, derived from its IP address: locally administered, as unique as the IP address, and always the same for the same IP address,
/// so that no ARP cache holds a stale one.
#[must_use]
pub const fn mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x52, 0x54, a, b, c, d]
}

/// A MAC address as text.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_keeps_its_network() {
        let first = Subnet::free_for("lab-1", &[]).unwrap();
        assert_eq!(Subnet::free_for("lab-1", &[]), Some(first));
        assert_eq!(Subnet::around(first.at(77)), first);
        assert_eq!(first.host().octets()[3], 1);
    }

    #[test]
    fn a_network_of_the_host_is_avoided() {
        let first = Subnet::free_for("lab-1", &[]).unwrap();
        let second = Subnet::free_for("lab-1", &[(first.at(9), MASK)]).unwrap();
        assert_ne!(first, second);
        let narrow = Ipv4Addr::new(255, 255, 255, 252);
        assert_eq!(Subnet::free_for("lab-1", &[(first.at(9), narrow)]), Some(second));
        let all = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(255, 0, 0, 0));
        assert_eq!(Subnet::free_for("lab-1", &[all]), None);
    }

    #[test]
    fn a_mac_address_is_derived_from_the_ip_address() {
        assert_eq!(mac_text(mac(Ipv4Addr::new(10, 213, 0, 2))), "52:54:0a:d5:00:02");
    }
}
