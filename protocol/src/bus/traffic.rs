//! Statistics of received messages, and the diagnosis of a host that does not respond.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::envelope::{Claim, Envelope, EnvelopeError, VERSION};
use crate::ids::Name;

/// Maximum number of hosts that are tracked.
const MAX_HOSTS: usize = 256;

/// What arrived at one receiver; clones share it.
#[derive(Clone, Debug)]
pub struct Traffic {
    topics: Arc<[String]>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    hosts: BTreeMap<Name, Host>,
    /// The last refused message that does not name a host.
    anonymous: Option<(Instant, String)>,
}

/// The last message of each kind from a host.
#[derive(Debug, Default)]
struct Host {
    addressed: Option<Instant>,
    other_controller: Option<(Instant, Name)>,
    refused: Option<(Instant, Cause)>,
    notice: Option<(Instant, String)>,
}

/// The most likely reason why a host does not respond. Its text includes the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It refuses our commands.
    CommandsRefused {
        /// The reason that it gives.
        why: String,
    },
    /// Its messages are not signed, and a key is configured here.
    Unsigned,
    /// Its messages are signed with another key.
    WrongKey,
    /// Its messages have another protocol version.
    WrongVersion {
        /// That version.
        given: u64,
    },
    /// Its messages cannot be decoded.
    Unreadable {
        /// The decoding error.
        why: String,
    },
    /// It sends messages to this controller, but no reply.
    NoAnswer,
    /// It sends messages only to another controller.
    OtherController {
        /// That controller.
        controller: Name,
    },
    /// No message of this host arrives.
    Nothing {
        /// The topic on which it was expected.
        topic: String,
        /// The hosts whose messages arrive, accepted or refused.
        others: Vec<Name>,
        /// Why the last message that does not name a host was refused.
        anonymous: Option<String>,
    },
}

impl Traffic {
    /// Empty statistics for these topics.
    pub(super) fn new(topics: Vec<String>) -> Self {
        Self {
            topics: topics.into(),
            state: Arc::default(),
        }
    }

    /// Records an accepted message; `addressed`: it is for this receiver.
    pub(super) fn accepted<B>(&self, envelope: &Envelope<B>, addressed: bool) {
        self.host(&envelope.host, |host, now| {
            if addressed {
                host.addressed = Some(now);
            } else {
                host.other_controller = Some((now, envelope.controller.clone()));
            }
        });
    }

    /// Records a refused message.
    pub(super) fn refused(&self, claim: &Claim, error: &EnvelopeError) {
        match &claim.host {
            Some(host) => self.host(host, |host, now| host.refused = Some((now, Cause::of(error)))),
            None => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.anonymous = Some((Instant::now(), error.to_string()));
            }
        }
    }

    /// Records that a host refuses our commands.
    pub(super) fn notice(&self, host: &Name, why: &str) {
        self.host(host, |host, now| host.notice = Some((now, why.to_owned())));
    }

    fn host(&self, name: &Name, change: impl FnOnce(&mut Host, Instant)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.hosts.len() < MAX_HOSTS || state.hosts.contains_key(name) {
            change(state.hosts.entry(name.clone()).or_default(), Instant::now());
        }
    }

    /// The most likely reason why a host has not replied to a command sent at `since`.
    #[must_use]
    pub fn cause(&self, host: &Name, since: Instant) -> Cause {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.hosts.get(host);
        known
            .and_then(|known| known.cause(since))
            .unwrap_or_else(|| Cause::Nothing {
                topic: self.topics.first().cloned().unwrap_or_default(),
                others: state
                    .hosts
                    .iter()
                    .filter(|(name, other)| *name != host && other.is_active(since))
                    .map(|(name, _)| name.clone())
                    .collect(),
                anonymous: recent(&state.anonymous, since).cloned(),
            })
    }
}

/// An entry that is not older than `since`.
fn recent<T>(entry: &Option<(Instant, T)>, since: Instant) -> Option<&T> {
    entry.as_ref().filter(|(at, _)| *at >= since).map(|(_, entry)| entry)
}

impl Host {
    /// A refused message has priority, since it may be the reply itself.
    fn cause(&self, since: Instant) -> Option<Cause> {
        let refuses = || recent(&self.notice, since).map(|why| Cause::CommandsRefused { why: why.clone() });
        let answers = || self.addressed.filter(|at| *at >= since).map(|_| Cause::NoAnswer);
        let other = || {
            recent(&self.other_controller, since).map(|controller| Cause::OtherController {
                controller: controller.clone(),
            })
        };
        recent(&self.refused, since)
            .cloned()
            .or_else(refuses)
            .or_else(answers)
            .or_else(other)
    }

    fn is_active(&self, since: Instant) -> bool {
        self.cause(since).is_some()
    }
}

impl Cause {
    fn of(error: &EnvelopeError) -> Self {
        match error {
            EnvelopeError::Unsigned { .. } => Self::Unsigned,
            EnvelopeError::BadSignature { .. } => Self::WrongKey,
            EnvelopeError::WrongVersion { given } => Self::WrongVersion { given: *given },
            other => Self::Unreadable { why: other.to_string() },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandsRefused { why } => write!(f, "it refuses this controller's commands ({why})"),
            Self::Unsigned => f.write_str(
                "its messages arrive but are not signed, and this controller has a `key_file`: set the same `key_file` on both, or on neither",
            ),
            Self::WrongKey => {
                f.write_str("its messages arrive but are signed with another key: set the same `key_file` on both")
            }
            Self::WrongVersion { given } => write!(
                f,
                "it uses protocol version {given}, this controller version {VERSION}: run the same release on both"
            ),
            Self::Unreadable { why } => write!(f, "its messages arrive but cannot be decoded ({why})"),
            Self::NoAnswer => {
                f.write_str("it sends other messages but not this reply: it may be overloaded; see its log")
            }
            Self::OtherController { controller } => write!(
                f,
                "it sends messages to controller {controller} but none to this one: check its log for refused commands"
            ),
            Self::Nothing {
                topic,
                others,
                    anonymous,
                } => {
                write!(f, "nothing arrived on topic {topic} from this host; ")?;
                match others.as_slice() {
                    [] => f.write_str("no other host sent anything")?,
                    hosts => {
                        let hosts: Vec<&str> = hosts.iter().map(Name::as_str).collect();
                        write!(f, "hosts that did send: {}", hosts.join(", "))?;
                    }
                }
                match anonymous {
                    Some(why) => write!(f, "; a message without a host name was refused ({why})"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Epoch;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn traffic() -> Traffic {
        Traffic::new(vec!["jung.runner".to_owned(), "jung.samples".to_owned()])
    }

    fn envelope(host: &str, controller: &str) -> Envelope<()> {
        Envelope::new(name(host), None, name(controller), Epoch(1), ())
    }

    fn refuse(traffic: &Traffic, host: Option<&str>, error: &EnvelopeError) {
        let claim = Claim {
            host: host.map(name),
            ..Claim::default()
        };
        traffic.refused(&claim, error);
    }

    fn unsigned() -> EnvelopeError {
        EnvelopeError::Unsigned {
            controller: name("night"),
            host: name("lab-2"),
        }
    }

    #[test]
    fn the_most_likely_cause_is_reported_with_its_remedy() {
        let (traffic, since) = (traffic(), Instant::now());
        let cause = || traffic.cause(&name("lab-2"), since).to_string();
        assert_eq!(
            cause(),
            "nothing arrived on topic jung.runner from this host; no other host sent anything"
        );
        traffic.accepted(&envelope("lab-3", "day"), false);
        refuse(&traffic, None, &EnvelopeError::Oversized { bytes: 1 << 21 });
        assert!(
            cause()
                .contains("hosts that did send: lab-3; a message without a host name was refused (message of 2097152"),
            "{}",
            cause()
        );
        traffic.accepted(&envelope("lab-2", "day"), false);
        assert!(
            cause().contains("to controller day but none to this one"),
            "{}",
            cause()
        );
        traffic.accepted(&envelope("lab-2", "night"), true);
        assert!(cause().contains("other messages but not this reply"), "{}", cause());
        traffic.notice(&name("lab-2"), "wrong key");
        assert_eq!(cause(), "it refuses this controller's commands (wrong key)");
        refuse(&traffic, Some("lab-2"), &unsigned());
        assert!(
            cause().contains("not signed, and this controller has a `key_file`"),
            "{}",
            cause()
        );
        let given = u64::from(VERSION) + 1;
        refuse(&traffic, Some("lab-2"), &EnvelopeError::WrongVersion { given });
        assert_eq!(
            cause(),
            format!(
                "it uses protocol version {given}, this controller version {VERSION}: run the same release on both"
            )
        );
    }

    #[test]
    fn messages_before_the_command_are_ignored() {
        let traffic = traffic();
        refuse(&traffic, Some("lab-2"), &unsigned());
        traffic.accepted(&envelope("lab-3", "day"), false);
        let since = Instant::now() + Duration::from_secs(1);
        assert!(matches!(traffic.cause(&name("lab-2"), since), Cause::Nothing { others, .. } if others.is_empty()));
    }

    #[test]
    fn the_number_of_tracked_hosts_is_bounded() {
        let traffic = traffic();
        for host in 0..1000 {
            traffic.accepted(&envelope(&format!("h{host}"), "night"), true);
        }
        assert_eq!(traffic.state.lock().unwrap().hosts.len(), MAX_HOSTS);
    }
}
