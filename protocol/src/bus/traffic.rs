//! What arrives at one end of the bus, and what it says of a host that does not answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::envelope::{Claim, Envelope, EnvelopeError, VERSION};
use crate::ids::Name;

/// The most hosts that are remembered.
const MOST_HOSTS: usize = 256;

/// What arrived; a clone sees the same.
#[derive(Clone, Debug)]
pub struct Traffic {
    topics: Arc<[String]>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    hosts: BTreeMap<Name, Host>,
    /// The last refused message that names no host.
    nameless: Option<(Instant, String)>,
}

/// The last message of each kind that names a host.
#[derive(Debug, Default)]
struct Host {
    addressed: Option<Instant>,
    elsewhere: Option<(Instant, Name)>,
    refused: Option<(Instant, Cause)>,
    notice: Option<(Instant, String)>,
}

/// The likeliest cause of a host's silence. Its text names the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It refuses our commands, and says why.
    RefusesOurs {
        /// Its words.
        why: String,
    },
    /// Its messages are not signed, and we have a key.
    Unsigned,
    /// Its messages are signed with another key.
    OtherKey,
    /// Its messages are of another version of the protocol.
    OtherVersion {
        /// Which.
        given: u64,
    },
    /// Its messages cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It sends us messages, but no answer.
    NoAnswer,
    /// It sends messages to another controller only.
    OtherController {
        /// Which.
        controller: Name,
    },
    /// Nothing of it arrives.
    Nothing {
        /// Where it was expected.
        topic: String,
        /// The hosts whose messages arrive, read or refused.
        others: Vec<Name>,
        /// Why the last message that names no host was refused.
        nameless: Option<String>,
    },
}

impl Traffic {
    /// Nothing has arrived on these topics yet.
    pub(super) fn new(topics: Vec<String>) -> Self {
        Self {
            topics: topics.into(),
            seen: Arc::default(),
        }
    }

    /// A message was read; `addressed`: it is for this end.
    pub(super) fn accepted<B>(&self, envelope: &Envelope<B>, addressed: bool) {
        self.host(&envelope.host, |host, now| {
            if addressed {
                host.addressed = Some(now);
            } else {
                host.elsewhere = Some((now, envelope.controller.clone()));
            }
        });
    }

    /// A message was refused.
    pub(super) fn refused(&self, claim: &Claim, error: &EnvelopeError) {
        match &claim.host {
            Some(host) => self.host(host, |host, now| host.refused = Some((now, Cause::of(error)))),
            None => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.nameless = Some((Instant::now(), error.to_string()));
            }
        }
    }

    /// A host says that it refuses our commands.
    pub(super) fn notice(&self, host: &Name, why: &str) {
        self.host(host, |host, now| host.notice = Some((now, why.to_owned())));
    }

    fn host(&self, name: &Name, change: impl FnOnce(&mut Host, Instant)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.hosts.len() < MOST_HOSTS || seen.hosts.contains_key(name) {
            change(seen.hosts.entry(name.clone()).or_default(), Instant::now());
        }
    }

    /// Why a host did not answer what was asked of it since an instant.
    #[must_use]
    pub fn cause(&self, host: &Name, since: Instant) -> Cause {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.hosts.get(host);
        known
            .and_then(|known| known.cause(since))
            .unwrap_or_else(|| Cause::Nothing {
                topic: self.topics.first().cloned().unwrap_or_default(),
                others: seen
                    .hosts
                    .iter()
                    .filter(|(name, other)| *name != host && other.is_heard(since))
                    .map(|(name, _)| name.clone())
                    .collect(),
                nameless: recent(&seen.nameless, since).cloned(),
            })
    }
}

/// What happened, if it happened since.
fn recent<T>(what: &Option<(Instant, T)>, since: Instant) -> Option<&T> {
    what.as_ref().filter(|(at, _)| *at >= since).map(|(_, what)| what)
}

impl Host {
    /// A message that we refuse comes first, since it may be the answer itself.
    fn cause(&self, since: Instant) -> Option<Cause> {
        let refuses = || recent(&self.notice, since).map(|why| Cause::RefusesOurs { why: why.clone() });
        let answers = || self.addressed.filter(|at| *at >= since).map(|_| Cause::NoAnswer);
        let other = || {
            recent(&self.elsewhere, since).map(|controller| Cause::OtherController {
                controller: controller.clone(),
            })
        };
        recent(&self.refused, since)
            .cloned()
            .or_else(refuses)
            .or_else(answers)
            .or_else(other)
    }

    fn is_heard(&self, since: Instant) -> bool {
        self.cause(since).is_some()
    }
}

impl Cause {
    fn of(error: &EnvelopeError) -> Self {
        match error {
            EnvelopeError::Unsigned { .. } => Self::Unsigned,
            EnvelopeError::BadSignature { .. } => Self::OtherKey,
            EnvelopeError::WrongVersion { given } => Self::OtherVersion { given: *given },
            other => Self::Unreadable { why: other.to_string() },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefusesOurs { why } => write!(f, "it refuses our commands ({why})"),
            Self::Unsigned => f.write_str(
                "its messages arrive but are not signed, and this controller has a `key_file`: set the same `key_file` on both, or on neither",
            ),
            Self::OtherKey => {
                f.write_str("its messages arrive but are not signed with our key: set the same `key_file` on both")
            }
            Self::OtherVersion { given } => write!(
                f,
                "it speaks protocol {given}, this is {VERSION}: run the same release on both"
            ),
            Self::Unreadable { why } => write!(f, "its messages arrive but cannot be read ({why})"),
            Self::NoAnswer => {
                f.write_str("it sends other messages but not this answer: it may be overloaded; see its log")
            }
            Self::OtherController { controller } => write!(
                f,
                "it sends messages to controller {controller}, none to this one: its log says whether it refuses our commands"
            ),
            Self::Nothing {
                topic,
                others,
                nameless,
            } => {
                write!(f, "nothing arrived on topic {topic} from this host; ")?;
                match others.as_slice() {
                    [] => f.write_str("no other host was heard")?,
                    hosts => {
                        let hosts: Vec<&str> = hosts.iter().map(Name::as_str).collect();
                        write!(f, "hosts heard: {}", hosts.join(", "))?;
                    }
                }
                match nameless {
                    Some(why) => write!(f, "; a message that names no host was refused ({why})"),
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
    fn the_likeliest_cause_is_told_with_its_remedy() {
        let (traffic, since) = (traffic(), Instant::now());
        let said = || traffic.cause(&name("lab-2"), since).to_string();
        assert_eq!(
            said(),
            "nothing arrived on topic jung.runner from this host; no other host was heard"
        );
        traffic.accepted(&envelope("lab-3", "day"), false);
        refuse(&traffic, None, &EnvelopeError::Oversized { bytes: 1 << 21 });
        assert!(
            said().contains("hosts heard: lab-3; a message that names no host was refused (message of 2097152"),
            "{}",
            said()
        );
        traffic.accepted(&envelope("lab-2", "day"), false);
        assert!(said().contains("to controller day, none to this one"), "{}", said());
        traffic.accepted(&envelope("lab-2", "night"), true);
        assert!(said().contains("other messages but not this answer"), "{}", said());
        traffic.notice(&name("lab-2"), "wrong key");
        assert_eq!(said(), "it refuses our commands (wrong key)");
        refuse(&traffic, Some("lab-2"), &unsigned());
        assert!(
            said().contains("not signed, and this controller has a `key_file`"),
            "{}",
            said()
        );
        refuse(&traffic, Some("lab-2"), &EnvelopeError::WrongVersion { given: 3 });
        assert_eq!(
            said(),
            format!("it speaks protocol 3, this is {VERSION}: run the same release on both")
        );
    }

    #[test]
    fn what_arrived_before_the_question_is_no_cause() {
        let traffic = traffic();
        refuse(&traffic, Some("lab-2"), &unsigned());
        traffic.accepted(&envelope("lab-3", "day"), false);
        let since = Instant::now() + Duration::from_secs(1);
        assert!(matches!(traffic.cause(&name("lab-2"), since), Cause::Nothing { others, .. } if others.is_empty()));
    }

    #[test]
    fn the_memory_of_hosts_is_bounded() {
        let traffic = traffic();
        for host in 0..1000 {
            traffic.accepted(&envelope(&format!("h{host}"), "night"), true);
        }
        assert_eq!(traffic.seen.lock().unwrap().hosts.len(), MOST_HOSTS);
    }
}
