//! The lease: which controller's commands a daemon obeys.
//!
//! A RUN or PREPARE grants the lease to its controller. Every command renews it, and it expires after a lease time without any. While it is
//! held, commands of other controllers are refused. Of two controllers with the same name the one with the higher epoch takes over; commands of
//! the older one are refused as stale from then on, even when nobody holds the lease.

use std::time::{Duration, Instant};

use crate::event::{Refused, RefusedReason};
use crate::{Epoch, Name};

/// Maximum number of controllers whose epochs are kept.
const MAX_EPOCHS: usize = 64;

/// The current holder of the lease, if any, and the epochs of recent controllers.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    holder: Option<Holder>,
    /// The highest epoch of each controller, the most recently active one last.
    epochs: Vec<(Name, Epoch)>,
}

#[derive(Clone, Debug)]
struct Holder {
    name: Name,
    duration: Duration,
    expires_at: Instant,
}

/// Whether a command's sender is obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is: the lease is free, or the sender holds it.
    Granted,
    /// It is, but as a restarted instance of the holder: first end what the previous instance began.
    TakenOver,
    /// It is not.
    Refused(Refused),
}

impl Lease {
    /// Decides whether to obey the sender of a command, and renews the lease if it is the holder.
    pub fn authorize(&mut self, name: &Name, epoch: Epoch, now: Instant) -> Access {
        let known = self
            .epochs
            .iter()
            .find(|(known, _)| known == name)
            .map(|&(_, epoch)| epoch);
        if let Some(newest) = known.filter(|&newest| newest > epoch) {
            return refuse(
                RefusedReason::Stale,
                format!(
                    "controller {name} has been restarted (epoch {}, this command has {}): stop the older one",
                    newest.0, epoch.0
                ),
            );
        }
        self.record_epoch(name, epoch);
        match &mut self.holder {
            None => Access::Granted,
            Some(holder) if holder.name != *name => refuse(
                RefusedReason::Held,
                format!(
                    "controller {} holds the lease of this host, which expires after {} ms without a command: wait for that controller to finish, or use another host",
                    holder.name,
                    holder.duration.as_millis()
                ),
            ),
            Some(holder) => {
                holder.expires_at = now + holder.duration;
                if known == Some(epoch) {
                    Access::Granted
                } else {
                    Access::TakenOver
                }
            }
        }
    }

    /// Grants the lease to a controller that was just authorized.
    pub fn grant(&mut self, name: &Name, duration: Duration, now: Instant) {
        self.holder = Some(Holder {
            name: name.clone(),
            duration,
            expires_at: now + duration,
        });
    }

    /// When the lease expires; `None`: it is free.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.holder.as_ref().map(|holder| holder.expires_at)
    }

    /// Frees the lease if it has expired, and returns its holder.
    pub fn expire(&mut self, now: Instant) -> Option<Name> {
        self.holder.take_if(|holder| holder.expires_at <= now).map(|h| h.name)
    }

    fn record_epoch(&mut self, name: &Name, epoch: Epoch) {
        self.epochs.retain(|(known, _)| known != name);
        self.epochs.push((name.clone(), epoch));
        if self.epochs.len() > MAX_EPOCHS {
            self.epochs.remove(0);
        }
    }
}

fn refuse(reason: RefusedReason, why: String) -> Access {
    Access::Refused(Refused { reason, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(5);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn reason(access: &Access) -> Option<RefusedReason> {
        match access {
            Access::Refused(refused) => Some(refused.reason),
            _ => None,
        }
    }

    #[test]
    fn every_command_of_the_holder_renews_the_lease() {
        let (mut lease, mut now) = (Lease::default(), Instant::now());
        assert_eq!(lease.authorize(&name("a"), Epoch(1), now), Access::Granted);
        lease.grant(&name("a"), DURATION, now);
        for _ in 0..3 {
            now += DURATION - Duration::from_millis(1);
            assert_eq!(lease.expire(now), None);
            assert_eq!(lease.authorize(&name("a"), Epoch(1), now), Access::Granted);
        }
        assert_eq!(lease.expires_at(), Some(now + DURATION));
        now += DURATION;
        assert_eq!(lease.expire(now), Some(name("a")));
        assert_eq!(lease.expires_at(), None);
    }

    #[test]
    fn another_controller_is_refused_and_does_not_renew_the_lease() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        lease.authorize(&name("a"), Epoch(9), now);
        lease.grant(&name("a"), DURATION, now);
        let other = lease.authorize(&name("b"), Epoch(1), now + DURATION / 2);
        assert_eq!(reason(&other), Some(RefusedReason::Held));
        assert_eq!(lease.expire(now + DURATION), Some(name("a")));
        assert_eq!(lease.authorize(&name("b"), Epoch(1), now + DURATION), Access::Granted);
    }

    #[test]
    fn a_newer_epoch_takes_over_and_the_older_one_is_stale() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        lease.authorize(&name("a"), Epoch(1), now);
        lease.grant(&name("a"), DURATION, now);
        assert_eq!(lease.authorize(&name("a"), Epoch(2), now), Access::TakenOver);
        assert_eq!(lease.authorize(&name("a"), Epoch(2), now), Access::Granted);
        assert_eq!(
            reason(&lease.authorize(&name("a"), Epoch(1), now)),
            Some(RefusedReason::Stale)
        );
        assert_eq!(lease.expire(now + DURATION), Some(name("a")));
        let stale = lease.authorize(&name("a"), Epoch(1), now + DURATION);
        assert_eq!(
            reason(&stale),
            Some(RefusedReason::Stale),
            "also when the lease is free"
        );
    }

    #[test]
    fn the_number_of_epochs_is_bounded() {
        let (mut lease, now) = (Lease::default(), Instant::now());
        for i in 0..1000 {
            lease.authorize(&name(&format!("c{i}")), Epoch(2), now);
        }
        assert_eq!(lease.epochs.len(), MAX_EPOCHS);
        assert_eq!(
            reason(&lease.authorize(&name("c999"), Epoch(1), now)),
            Some(RefusedReason::Stale)
        );
    }
}
