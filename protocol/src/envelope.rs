//! The envelope of every message: version, identities, time, signature, body.
//!
//! ```json
//! {"version":3,"id":"0192…","in_reply_to":null,"host":"lab-2","attempt":"0192…","epoch":1764000000000,
//!  "sender":"night","sent_unix_ms":1764000000123,"signature":"9f…","body":{"RUN":{…}}}
//! ```
//!
//! [`Envelope::decode`] checks size, JSON, version, fields, signature and body, in this order.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{AttemptId, Epoch, MessageId, Name};
use crate::sign::SigningKey;

/// The version of the wire format of this crate. It is raised by every change that an older peer would misread.
pub const VERSION: u32 = 3;

/// Maximum message size, bytes: Kafka's default limit of 1,048,588 less room for record headers.
pub const MAX_BYTES: usize = 1_000_000;

/// A message with its sender, addressee and context. `B` is [`crate::Command`] or [`crate::Event`].
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<B> {
    /// The id of this message.
    pub id: MessageId,
    /// The message that this one replies to, if any.
    pub in_reply_to: Option<MessageId>,
    /// The runner's host: the addressee of a command, the origin of an event.
    pub host: Name,
    /// The attempt that it concerns; `None` for DESCRIBE, PING and their replies.
    pub attempt: Option<AttemptId>,
    /// The controller's epoch: the sender's in a command, the addressee's in an event.
    pub epoch: Epoch,
    /// The controller's name: the sender of a command, the addressee of an event.
    pub controller: Name,
    /// The sender's wall clock, ms since 1970; for logs only, never subtracted from another host's.
    pub sent_unix_ms: u64,
    /// The content.
    pub body: B,
}

/// Why a message is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`MAX_BYTES`].
    #[error("message of {bytes} bytes exceeds the limit of {MAX_BYTES}")]
    Oversized {
        /// Its size.
        bytes: usize,
    },
    /// The JSON is incomplete.
    #[error("message is truncated: {source}")]
    Truncated {
        /// The JSON error.
        source: serde_json::Error,
    },
    /// Not JSON, or no version.
    #[error("message is not JSON with a version: {source}")]
    Malformed {
        /// The JSON error.
        source: serde_json::Error,
    },
    /// It has another protocol version.
    #[error(
        "message has protocol version {given}, this program uses version {VERSION}: run the same release of controller, runners and loaders"
    )]
    WrongVersion {
        /// The message's version.
        given: u64,
    },
    /// A field of the envelope is unknown, missing or of the wrong type.
    #[error("invalid envelope: {source}")]
    BadEnvelope {
        /// The JSON error.
        source: serde_json::Error,
    },
    /// A key is configured and the message is not signed.
    #[error(
        "message between controller {controller} and host {host} is not signed, and `key_file` is set here: set the same key on controller, runners and loaders"
    )]
    Unsigned {
        /// The controller named in it.
        controller: Name,
        /// The host named in it.
        host: Name,
    },
    /// A key is configured and the message was signed with another one, or modified.
    #[error(
        "message between controller {controller} and host {host} is signed with another key: set the same key on controller, runners and loaders"
    )]
    BadSignature {
        /// The controller named in it.
        controller: Name,
        /// The host named in it.
        host: Name,
    },
    /// The body is not a known message.
    #[error("invalid body: {source}")]
    BadBody {
        /// The JSON error.
        source: serde_json::Error,
    },
}

/// The envelope on the wire; the body stays text until the signature over it is verified.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u32,
    id: MessageId,
    in_reply_to: Option<MessageId>,
    host: Name,
    attempt: Option<AttemptId>,
    epoch: Epoch,
    controller: Name,
    sent_unix_ms: u64,
    signature: Option<String>,
    body: Box<RawValue>,
}

/// The only field that all versions have.
#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

/// The identities that a refused message claims, as far as they can be decoded. They are not authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The runner's or loader's host.
    pub host: Option<Name>,
    /// The controller.
    pub controller: Option<Name>,
    /// The controller's epoch.
    pub epoch: Option<Epoch>,
}

impl Claim {
    /// The claim of a message of any version; empty if it is not JSON.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Loose<'a> {
            #[serde(borrow)]
            host: Option<&'a RawValue>,
            #[serde(borrow)]
            controller: Option<&'a RawValue>,
            #[serde(borrow)]
            epoch: Option<&'a RawValue>,
        }
        fn read<T: DeserializeOwned>(value: Option<&RawValue>) -> Option<T> {
            serde_json::from_str(value?.get()).ok()
        }
        if bytes.len() > MAX_BYTES {
            return Self::default();
        }
        let loose: Loose<'_> = serde_json::from_slice(bytes).unwrap_or_default();
        Self {
            host: read(loose.host),
            controller: read(loose.controller),
            epoch: read(loose.epoch),
        }
    }
}

impl<B> Envelope<B> {
    /// A new message, sent now, that is not a reply.
    #[must_use]
    pub fn new(host: Name, attempt: Option<AttemptId>, controller: Name, epoch: Epoch, body: B) -> Self {
        let sent_unix_ms = unix_ms();
        Self {
            id: MessageId::fresh(),
            in_reply_to: None,
            host,
            attempt,
            epoch,
            controller,
            sent_unix_ms,
            body,
        }
    }
}

impl<B: Serialize + DeserializeOwned> Envelope<B> {
    /// Encodes the message, and signs it if there is a key.
    ///
    /// # Errors
    /// [`EnvelopeError::Oversized`]; [`EnvelopeError::BadBody`] if the body cannot be encoded.
    pub fn encode(&self, key: Option<&SigningKey>) -> Result<Vec<u8>, EnvelopeError> {
        let bad_body = |source| EnvelopeError::BadBody { source };
        let mut wire = Wire {
            version: VERSION,
            id: self.id,
            in_reply_to: self.in_reply_to,
            host: self.host.clone(),
            attempt: self.attempt,
            epoch: self.epoch,
            controller: self.controller.clone(),
            sent_unix_ms: self.sent_unix_ms,
            signature: None,
            body: serde_json::value::to_raw_value(&self.body).map_err(bad_body)?,
        };
        wire.signature = key.map(|key| key.sign(&wire.signed_text()));
        let bytes = serde_json::to_vec(&wire).map_err(bad_body)?;
        refuse_oversized(bytes.len())?;
        Ok(bytes)
    }

    /// Decodes and checks a message. With a key, a message that is not signed with it is refused.
    ///
    /// # Errors
    /// See [`EnvelopeError`]; the module documentation states the order of the checks.
    pub fn decode(bytes: &[u8], key: Option<&SigningKey>) -> Result<Self, EnvelopeError> {
        refuse_oversized(bytes.len())?;
        let AnyVersion { version } = serde_json::from_slice(bytes).map_err(|source| match source.classify() {
            serde_json::error::Category::Eof => EnvelopeError::Truncated { source },
            _ => EnvelopeError::Malformed { source },
        })?;
        if version != u64::from(VERSION) {
            return Err(EnvelopeError::WrongVersion { given: version });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(|source| EnvelopeError::BadEnvelope { source })?;
        if let Some(key) = key {
            wire.check_signature(key)?;
        }
        let body = serde_json::from_str(wire.body.get()).map_err(|source| EnvelopeError::BadBody { source })?;
        Ok(Self {
            id: wire.id,
            in_reply_to: wire.in_reply_to,
            host: wire.host,
            attempt: wire.attempt,
            epoch: wire.epoch,
            controller: wire.controller,
            sent_unix_ms: wire.sent_unix_ms,
            body,
        })
    }
}

impl Wire {
    /// The signed text: one field per line. Only the body, which is last, can contain a line break.
    fn signed_text(&self) -> String {
        let optional = |id: Option<String>| id.unwrap_or_default();
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
            self.version,
            self.id,
            optional(self.in_reply_to.map(|id| id.to_string())),
            self.host,
            optional(self.attempt.map(|id| id.to_string())),
            self.epoch.0,
            self.controller,
            self.sent_unix_ms,
            self.body.get(),
        )
    }

    fn check_signature(&self, key: &SigningKey) -> Result<(), EnvelopeError> {
        let (controller, host) = (self.controller.clone(), self.host.clone());
        match &self.signature {
            None => Err(EnvelopeError::Unsigned { controller, host }),
            Some(signature) if key.verify(&self.signed_text(), signature) => Ok(()),
            Some(_) => Err(EnvelopeError::BadSignature { controller, host }),
        }
    }
}

fn refuse_oversized(bytes: usize) -> Result<(), EnvelopeError> {
    if bytes > MAX_BYTES {
        Err(EnvelopeError::Oversized { bytes })
    } else {
        Ok(())
    }
}

/// The wall clock, ms since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
