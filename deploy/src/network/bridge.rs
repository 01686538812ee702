//! A runner's bridge and the tap devices on it.
//!
//! Their names carry a hash of the runner's name: `jb<hash>` is the bridge, and `jt<hash>-<n>` is the interface of the guest with the address `.n`: a
//! tap, or the host's end of a veth that another program creates for a container (`veth`). The bridge exists while something is connected to
//! it. What a crashed runner left behind is found by these names.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::ids::Name;
use sha2::{Digest, Sha256};

use super::subnet::{FIRST_GUEST, LAST_GUEST, MASK, Subnet, mac};
use super::{interface, netlink};
use crate::DeployError;

/// Serializes changes, so that finding a free address and taking it is one step. Holds the names that are reserved though their interface does not exist yet.
static CHANGES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// How long a killed guest may take to close its tap.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A runner's bridge, which need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    runner: Name,
    hash: String,
}

/// A tap device on a bridge, with its guest's address. Dropping it removes the tap, and the bridge if it was the last one.
#[derive(Debug)]
pub struct Tap {
    bridge: Bridge,
    subnet: Subnet,
    last: u8,
    gone: bool,
}

impl Bridge {
    /// The bridge of a runner.
    #[must_use]
    pub fn of(runner: &Name) -> Self {
        let digest = Sha256::digest(runner.as_str().as_bytes());
        Self {
            runner: runner.clone(),
            hash: digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Its interface name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("jb{}", self.hash)
    }

    /// Whether it exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        interface::index(&self.name()).is_some()
    }

    /// Creates a tap device on it, and the bridge if there is none.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] without the privilege or a free network, else [`DeployError::Io`].
    pub fn tap(&self) -> Result<Tap, DeployError> {
        let reserved = lock_changes();
        let (subnet, last) = self.free_address(&reserved)?;
        let name = self.port(last);
        interface::add_tap(&name).map_err(|error| creation_error(&name, error))?;
        let tap = Tap {
            bridge: self.clone(),
            subnet,
            last,
            gone: false,
        };
        let connected = interface::add_port(&self.name(), &name)
            .and_then(|()| interface::set_up(&name))
            .and_then(|()| interface::set_neighbour(&self.name(), tap.guest(), mac(tap.guest())));
        match connected {
            Ok(()) => Ok(tap),
            Err(error) => {
                tap.remove_locked();
                Err(creation_error(&name, error))
            }
        }
    }

    /// Its network and the last octet of a free address, valid while the lock is held.
    pub(super) fn free_address(&self, reserved: &BTreeSet<String>) -> Result<(Subnet, u8), DeployError> {
        let subnet = self.ensure()?;
        let free = |last: &u8| {
            let name = self.port(*last);
            !reserved.contains(&name) && interface::index(&name).is_none()
        };
        let last = (FIRST_GUEST..=LAST_GUEST).find(free);
        let last = last.ok_or_else(|| DeployError::Unmet {
            need: format!("all addresses of bridge {} are in use", self.name()),
            remedy: "stop guests of this runner, or restart the runner: it removes leftovers".into(),
        })?;
        Ok((subnet, last))
    }

    /// The host's address on the bridge. Creates the bridge if there is none; it is removed with its last tap or by the next sweep.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] without the privilege or a free network, else [`DeployError::Io`].
    pub fn host(&self) -> Result<Ipv4Addr, DeployError> {
        let _change = lock_changes();
        self.ensure().map(Subnet::host)
    }

    /// Removes it if nothing is connected to it. Returns what could not be removed.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        let _change = lock_changes();
        self.remove_if_unused()
    }

    /// Finds or creates the bridge and its address.
    fn ensure(&self) -> Result<Subnet, DeployError> {
        let name = self.name();
        let failed = |error| creation_error(&name, error);
        if self.exists()
            && let Some((address, _)) = interface::address(&name).map_err(failed)?
        {
            return Ok(Subnet::around(address));
        }
        let taken = interface::networks().map_err(failed)?;
        let subnet = Subnet::free_for(self.runner.as_str(), &taken).ok_or_else(|| DeployError::Unmet {
            need: "no network in 10.213.0.0/16 is free for a bridge".into(),
            remedy: "free one of its 256 /24 networks, or use network = \"user\"".into(),
        })?;
        let made = match interface::add_bridge(&name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => interface::set_mac(&name, mac(subnet.host()))
                .and_then(|()| interface::set_address(&name, subnet.host(), MASK))
                .and_then(|()| interface::set_up(&name)),
        };
        made.map_err(|error| {
            let _ = interface::delete_bridge(&name);
            creation_error(&name, error)
        })?;
        Ok(subnet)
    }

    /// Whatever exists of it and its taps, by name.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let mut left: Vec<String> = self.taps().into_iter().map(|tap| format!("tap {tap}")).collect();
        if self.exists() {
            left.push(format!("bridge {}", self.name()));
        }
        left
    }

    /// Removes it and all taps and veths of the runner. Returns a line for each; one that vanished meanwhile counts as removed.
    #[must_use]
    pub fn sweep(&self) -> Vec<String> {
        let mut found = Vec::new();
        let _change = lock_changes();
        for port in self.taps() {
            let outcome = match netlink::delete(&port) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            };
            found.push(sweep_line("tap", &port, outcome));
        }
        if self.exists() {
            found.push(sweep_line(
                "bridge",
                &self.name(),
                interface::delete_bridge(&self.name()),
            ));
        }
        found
    }

    fn taps(&self) -> Vec<String> {
        let prefix = format!("jt{}-", self.hash);
        let names = interface::names().unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with(&prefix)).collect()
    }

    /// The name of the interface for the address with this last octet.
    pub(super) fn port(&self, last: u8) -> String {
        format!("jt{}-{last}", self.hash)
    }

    /// Removes it unless a tap or a container is connected to it.
    pub(super) fn remove_if_unused(&self) -> Option<String> {
        let used = interface::ports(&self.name()).is_ok_and(|ports| ports > 0);
        if used || !self.exists() {
            return None;
        }
        let outcome = interface::delete_bridge(&self.name());
        outcome.err().map(|error| format!("bridge {}: {error}", self.name()))
    }
}

/// Locks out other changes; gives the reserved names.
pub(super) fn lock_changes() -> MutexGuard<'static, BTreeSet<String>> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sweep_line(kind: &str, name: &str, outcome: io::Result<()>) -> String {
    match outcome {
        Ok(()) => format!("removed {kind} {name}"),
        Err(error) => format!("could not remove {kind} {name}: {error}"),
    }
}

pub(super) fn creation_error(name: &str, error: io::Error) -> DeployError {
    if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) {
        return DeployError::Unmet {
            need: format!("interface {name} cannot be created: {error}"),
            remedy: "run the runner with CAP_NET_ADMIN on a kernel with tun and bridge, or use network = \"user\""
                .into(),
        };
    }
    DeployError::Io {
        what: format!("creating interface {name}"),
        source: error,
    }
}

impl Tap {
    /// Its interface name.
    #[must_use]
    pub fn name(&self) -> String {
        self.bridge.port(self.last)
    }

    /// The guest's address.
    #[must_use]
    pub const fn guest(&self) -> Ipv4Addr {
        self.subnet.at(self.last)
    }

    /// The host's address, the guest's gateway.
    #[must_use]
    pub const fn host(&self) -> Ipv4Addr {
        self.subnet.host()
    }

    /// Removes it, and the bridge if it was the last one. Waits some seconds for a guest that is about to end. Returns what could not be removed.
    #[must_use]
    pub fn remove(mut self) -> Vec<String> {
        self.gone = true;
        self.delete(CLOSE_TIMEOUT)
    }

    fn delete(&self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        loop {
            let left = {
                let _change = lock_changes();
                self.delete_now()
            };
            if left.is_empty() || Instant::now() >= until {
                return left;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn delete_now(&self) -> Vec<String> {
        let name = self.name();
        let gone = match interface::index(&name) {
            None => Ok(()),
            Some(_) => interface::delete_tap(&name),
        };
        let mut left: Vec<String> = gone
            .err()
            .map(|error| format!("tap {name}: {error}"))
            .into_iter()
            .collect();
        left.extend(self.bridge.remove_if_unused());
        left
    }

    /// Removes it while [`CHANGES`] is locked.
    fn remove_locked(mut self) {
        self.gone = true;
        let _ = self.delete_now();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if !self.gone && !self.delete(Duration::ZERO).is_empty() {
            // A guest that was just killed still has it open, and a destructor must not wait for that.
            let again = Self {
                bridge: self.bridge.clone(),
                subnet: self.subnet,
                last: self.last,
                gone: true,
            };
            std::thread::spawn(move || again.delete(CLOSE_TIMEOUT));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::subnet::mac_text;

    fn runner(name: &str) -> Name {
        format!("{name}-{}", std::process::id()).parse().unwrap()
    }

    #[test]
    fn names_fit_and_differ() {
        let (one, two) = (Bridge::of(&runner("a")), Bridge::of(&runner("b")));
        assert_ne!(one.name(), two.name());
        assert!(one.port(LAST_GUEST).len() <= 15, "{}", one.port(LAST_GUEST));
    }

    #[test]
    #[ignore = "needs CAP_NET_ADMIN"]
    fn taps_have_distinct_addresses_and_leave_nothing() {
        let bridge = Bridge::of(&runner("taps"));
        let taps: Vec<Tap> = (0..4).map(|_| bridge.tap().unwrap()).collect();
        let guests: Vec<u8> = taps.iter().map(|tap| tap.guest().octets()[3]).collect();
        assert_eq!(guests, [2, 3, 4, 5]);
        assert_eq!(interface::address(&bridge.name()).unwrap().unwrap().0, taps[0].host());
        assert_eq!(bridge.leftovers().len(), 5);
        let neighbours = std::fs::read_to_string("/proc/net/arp").unwrap();
        for tap in &taps {
            let known = |line: &str| {
                line.starts_with(&format!("{} ", tap.guest())) && line.contains(&mac_text(mac(tap.guest())))
            };
            assert!(neighbours.lines().any(known), "{neighbours}");
        }
        let mut taps = taps.into_iter();
        let first = taps.next().unwrap();
        assert_eq!(first.remove(), Vec::<String>::new());
        assert_eq!(bridge.tap().unwrap().guest().octets()[3], 2, "an address is reused");
        drop(taps);
        assert_eq!(bridge.leftovers(), Vec::<String>::new());
    }

    #[test]
    #[ignore = "needs CAP_NET_ADMIN"]
    fn only_what_a_crashed_runner_left_is_swept() {
        let (dead, alive) = (Bridge::of(&runner("dead")), Bridge::of(&runner("alive")));
        std::mem::forget(dead.tap().unwrap());
        let other = alive.tap().unwrap();
        let found = dead.sweep();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|line| line.starts_with("removed ")), "{found:?}");
        assert_eq!(dead.leftovers(), Vec::<String>::new());
        assert_eq!(alive.leftovers().len(), 2);
        drop(other);
        assert_eq!(alive.leftovers(), Vec::<String>::new());
    }
}
