//! The private networks that bridges are given, and the addresses in them.

use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

/// A network of 256 addresses: `.0` is itself, `.1` the host, `.2` to `.127` are guests, `.128` to `.254` containers, `.255` reaches all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    first: Ipv4Addr,
}

/// The mask of every [`Subnet`].
pub const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The last part of the first guest's address.
pub const FIRST_GUEST: u8 = 2;
/// The last part of the last guest's address.
pub const LAST_GUEST: u8 = 127;

impl Subnet {
    /// The network that an address is in.
    #[must_use]
    pub const fn around(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        Self {
            first: Ipv4Addr::new(a, b, c, 0),
        }
    }

    /// A network out of 10.213.0.0/16 for a runner: always the same one, unless one of the host's own networks (address and mask) is in the way.
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

    /// The address with this last part.
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

/// The card's address of a guest, out of its IP address: locally administered, unique where that is, and the same again for the same address,
/// so that no neighbour remembers a wrong one.
#[must_use]
pub const fn mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x52, 0x54, a, b, c, d]
}

/// A card's address as it is written.
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
    fn a_card_is_told_by_its_address() {
        assert_eq!(mac_text(mac(Ipv4Addr::new(10, 213, 0, 2))), "52:54:0a:d5:00:02");
    }
}
