//! Which controller holds this daemon.
//!
//! A controller takes hold with a RUN and keeps it by speaking at least once a lease; with the lease its hold ends. While it holds, every
//! other controller is refused. Of two controllers of one name the one with the higher epoch is alive: it takes over, and what the older
//! one says from then on is refused as stale, whether anybody holds or not.

use std::time::{Duration, Instant};

use crate::event::{Refused, RefusedReason};
use crate::{Epoch, Name};

/// The newest epochs that are remembered, one a controller's name.
const REMEMBERED: usize = 64;

/// The holder, if any, and every controller that was heard lately.
#[derive(Clone, Debug, Default)]
pub struct Hold {
    holder: Option<Holder>,
    /// The newest epoch of each name, the one that spoke last at the end.
    epochs: Vec<(Name, Epoch)>,
}

#[derive(Clone, Debug)]
struct Holder {
    name: Name,
    lease: Duration,
    until: Instant,
}

/// What a command's sender may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Go on. Nobody holds this daemon, or this very controller does.
    Welcome,
    /// Go on; it is a newer life of the holder, so what the older one began has to be ended first.
    TakesOver,
    /// The sender is not obeyed.
    Refused(Refused),
}

impl Hold {
    /// Judges the sender of a command, and refreshes the lease if it is the holder.
    pub fn hear(&mut self, name: &Name, epoch: Epoch, now: Instant) -> Standing {
        let known = self
            .epochs
            .iter()
            .find(|(known, _)| known == name)
            .map(|&(_, epoch)| epoch);
        if let Some(newest) = known.filter(|&newest| newest > epoch) {
            return refuse(
                RefusedReason::Stale,
                format!(
                    "controller {name} has been started again since (epoch {}, this command has {}): end the older one",
                    newest.0, epoch.0
                ),
            );
        }
        self.remember(name, epoch);
        match &mut self.holder {
            None => Standing::Welcome,
            Some(holder) if holder.name != *name => refuse(
                RefusedReason::Held,
                format!(
                    "controller {} holds this host and was heard within its lease of {} ms: wait for its end, or use another host",
                    holder.name,
                    holder.lease.as_millis()
                ),
            ),
            Some(holder) => {
                holder.until = now + holder.lease;
                if known == Some(epoch) {
                    Standing::Welcome
                } else {
                    Standing::TakesOver
                }
            }
        }
    }

    /// The controller that was just heard holds from now on, for as long as it speaks once a lease.
    pub fn take(&mut self, name: &Name, lease: Duration, now: Instant) {
        self.holder = Some(Holder {
            name: name.clone(),
            lease,
            until: now + lease,
        });
    }

    /// When the lease ends.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.holder.as_ref().map(|holder| holder.until)
    }

    /// Ends the hold if its lease is over, and says whose it was.
    pub fn expire(&mut self, now: Instant) -> Option<Name> {
        self.holder.take_if(|holder| holder.until <= now).map(|h| h.name)
    }

    fn remember(&mut self, name: &Name, epoch: Epoch) {
        self.epochs.retain(|(known, _)| known != name);
        self.epochs.push((name.clone(), epoch));
        if self.epochs.len() > REMEMBERED {
            self.epochs.remove(0);
        }
    }
}

fn refuse(reason: RefusedReason, why: String) -> Standing {
    Standing::Refused(Refused { reason, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn reason(standing: &Standing) -> Option<RefusedReason> {
        match standing {
            Standing::Refused(refused) => Some(refused.reason),
            _ => None,
        }
    }

    #[test]
    fn whoever_speaks_once_a_lease_keeps_the_daemon() {
        let (mut hold, mut now) = (Hold::default(), Instant::now());
        assert_eq!(hold.hear(&name("a"), Epoch(1), now), Standing::Welcome);
        hold.take(&name("a"), LEASE, now);
        for _ in 0..3 {
            now += LEASE - Duration::from_millis(1);
            assert_eq!(hold.expire(now), None);
            assert_eq!(hold.hear(&name("a"), Epoch(1), now), Standing::Welcome);
        }
        assert_eq!(hold.until(), Some(now + LEASE));
        now += LEASE;
        assert_eq!(hold.expire(now), Some(name("a")));
        assert_eq!(hold.until(), None);
    }

    #[test]
    fn another_controller_waits_for_the_lease_and_does_not_refresh_it() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.hear(&name("a"), Epoch(9), now);
        hold.take(&name("a"), LEASE, now);
        let other = hold.hear(&name("b"), Epoch(1), now + LEASE / 2);
        assert_eq!(reason(&other), Some(RefusedReason::Held));
        assert_eq!(hold.expire(now + LEASE), Some(name("a")));
        assert_eq!(hold.hear(&name("b"), Epoch(1), now + LEASE), Standing::Welcome);
    }

    #[test]
    fn a_newer_epoch_takes_over_and_the_older_one_is_a_ghost() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        hold.hear(&name("a"), Epoch(1), now);
        hold.take(&name("a"), LEASE, now);
        assert_eq!(hold.hear(&name("a"), Epoch(2), now), Standing::TakesOver);
        assert_eq!(hold.hear(&name("a"), Epoch(2), now), Standing::Welcome);
        assert_eq!(
            reason(&hold.hear(&name("a"), Epoch(1), now)),
            Some(RefusedReason::Stale)
        );
        assert_eq!(hold.expire(now + LEASE), Some(name("a")));
        let ghost = hold.hear(&name("a"), Epoch(1), now + LEASE);
        assert_eq!(reason(&ghost), Some(RefusedReason::Stale), "also when nobody holds");
    }

    #[test]
    fn the_memory_of_epochs_is_bounded() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        for i in 0..1000 {
            hold.hear(&name(&format!("c{i}")), Epoch(2), now);
        }
        assert_eq!(hold.epochs.len(), REMEMBERED);
        assert_eq!(
            reason(&hold.hear(&name("c999"), Epoch(1), now)),
            Some(RefusedReason::Stale)
        );
    }
}
