//! The calls of a load, and which of them comes next.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::load::{Body, HttpRequest, HttpRequests, RequestOrder};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::call::{Call, CallBytes, Label, Message};
use super::error::LoadError;
use super::expectation;
use super::target::{Expect, Target};
use super::tls::Tls;
use super::users::Script;

/// Shuffled rounds of a script before they repeat.
const ROUNDS: usize = 16;

/// Calls of a script that repeats, unless one round is longer: every user has a script.
const MAX_CALLS: usize = 4096;

/// Script number of an open loop, whose requests belong to no user.
const NO_USER: u64 = (1 << 32) - 1;

/// The calls of a load, and which of them comes next.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// The calls.
    pub calls: Vec<Call>,
    /// Their labels.
    pub labels: Vec<Label>,
    /// How their connections are encrypted, if they are.
    pub tls: Option<Tls>,
    /// One round: each call as often as its weight says.
    deck: Vec<u32>,
    order: RequestOrder,
    seed: u64,
}

impl Calls {
    /// One GET, which is always the same.
    ///
    /// # Errors
    /// [`LoadError::Path`].
    pub fn get(target: &Target, keep_alive: bool) -> Result<Self, LoadError> {
        let bytes = Message::get(&target.path, keep_alive).to_bytes(target.address)?;
        Ok(Self {
            calls: vec![Call {
                address: target.address,
                label: 0,
                bytes: bytes.into(),
                expect: target.expect.clone(),
            }],
            labels: vec![Label::unnamed(target.url())],
            tls: None,
            deck: vec![0],
            order: RequestOrder::Mix,
            seed: 0,
        })
    }

    /// The requests of a load on a service that answers a plain `GET /` with `default`.
    ///
    /// # Errors
    /// A request, an expectation or TLS that is invalid.
    pub fn of(
        http: &HttpRequests,
        address: SocketAddr,
        default: &Expect,
        (keep_alive, seed): (bool, u64),
    ) -> Result<Self, LoadError> {
        let root = [HttpRequest::get("/")];
        let requests = if http.requests.is_empty() {
            &root
        } else {
            http.requests.as_slice()
        };
        let host = http.host.clone().unwrap_or_else(|| address.to_string());
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        let (mut calls, mut labels) = (Vec::new(), Vec::new());
        for (label, request) in (0..).zip(requests) {
            calls.push(Call {
                address,
                label,
                bytes: encoded(request, &host, keep_alive, seed)?,
                expect: match &request.expect {
                    Some(expectation) => expectation::rule(expectation, request.method)?,
                    None => default.clone(),
                },
            });
            labels.push(Label {
                name: request.label.clone(),
                url: format!("{scheme}://{host}{}", request.path),
            });
        }
        let tls = http.tls.as_ref();
        Ok(Self {
            calls,
            labels,
            tls: tls.map(|spec| Tls::new(spec, http.host.as_deref())).transpose()?,
            deck: deck(requests),
            order: http.order,
            seed,
        })
    }

    /// The script of a user: `length` calls, or rounds that repeat.
    #[must_use]
    pub fn script(&self, user: u64, length: Option<u32>) -> Script {
        let repeat = length.is_none();
        let rounds = match (self.order, self.deck.len()) {
            // Every round is the same.
            (RequestOrder::Sequence, _) | (_, 0 | 1) => 1,
            (RequestOrder::Mix, cards) => (MAX_CALLS / cards).clamp(1, ROUNDS),
        };
        let length = length.map_or(self.deck.len() * rounds, |length| length as usize);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        // A different stream than that of the think times, which use the same seed.
        random.set_stream((1 << 32) + user);
        let mut calls = Vec::with_capacity(length + self.deck.len());
        while calls.len() < length {
            let round = calls.len();
            calls.extend_from_slice(&self.deck);
            if self.order == RequestOrder::Mix {
                calls[round..].shuffle(&mut random);
            }
        }
        calls.truncate(length);
        Script { calls, repeat }
    }

    /// The script of an open loop, which repeats.
    #[must_use]
    pub fn open_script(&self) -> Vec<u32> {
        self.script(NO_USER, None).calls
    }
}

fn encoded(request: &HttpRequest, host: &str, keep_alive: bool, seed: u64) -> Result<CallBytes, LoadError> {
    let headers = request.headers.iter();
    let fields: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let message = Message {
        method: request.method.as_str(),
        path: &request.path,
        fields: &fields,
        body: request.body.as_ref().map_or(&[], Body::as_bytes),
        keep_alive,
    };
    if request.template {
        return Ok(CallBytes::Template(Arc::new(message.to_template(host, seed)?)));
    }
    Ok(message.to_bytes(host)?.into())
}

/// Each request as often as its weight says.
fn deck(requests: &[HttpRequest]) -> Vec<u32> {
    let weights = (0..).zip(HttpRequest::weights(requests));
    let cards = weights.flat_map(|(index, weight)| std::iter::repeat_n(index, weight as usize));
    cards.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::load::{Expectation, Method};

    use super::*;
    use crate::target::BodyRule;

    fn calls(weights: &[u32], order: RequestOrder, seed: u64) -> Calls {
        let request = |(index, &weight): (usize, &u32)| HttpRequest {
            label: index.to_string(),
            weight,
            ..HttpRequest::get(&format!("/{index}"))
        };
        let http = HttpRequests {
            requests: weights.iter().enumerate().map(request).collect(),
            order,
            ..HttpRequests::default()
        };
        let expect = Expect::ok(BodyRule::Any);
        Calls::of(&http, ([127, 0, 0, 1], 80).into(), &expect, (true, seed)).unwrap()
    }

    proptest! {
        #[test]
        fn every_round_has_the_exact_mix_and_depends_on_seed_and_user_only(
            weights in prop::collection::vec(1..30_u32, 1..5), seed in any::<u64>(), user in 0..1000_u64,
        ) {
            let mix = calls(&weights, RequestOrder::Mix, seed);
            let script = mix.script(user, None);
            prop_assert_eq!(&script, &calls(&weights, RequestOrder::Mix, seed).script(user, None));
            let round = mix.deck.len();
            prop_assert_eq!(script.calls.len() % round, 0);
            for cards in script.calls.chunks(round) {
                for (index, &weight) in (0..).zip(&weights) {
                    let count = cards.iter().filter(|&&card| card == index).count();
                    prop_assert_eq!(count * weights.iter().sum::<u32>() as usize, weight as usize * round);
                }
            }
            let exact = mix.script(user, Some(77));
            prop_assert_eq!((exact.calls.len(), exact.repeat), (77, false));
            let known = script.calls.len().min(77);
            prop_assert_eq!(&exact.calls[..known], &script.calls[..known]);
        }
    }

    #[test]
    fn users_have_different_orders_and_a_sequence_has_one() {
        let mix = calls(&[3, 1], RequestOrder::Mix, 7);
        assert_ne!(mix.script(0, None), mix.script(1, None));
        assert_ne!(
            mix.script(0, None),
            calls(&[3, 1], RequestOrder::Mix, 8).script(0, None)
        );
        let sequence = calls(&[4, 2, 2], RequestOrder::Sequence, 7);
        assert_eq!(sequence.open_script(), [0, 0, 1, 2]);
        assert_eq!(sequence.script(5, Some(6)).calls, [0, 0, 1, 2, 0, 0]);
    }

    #[test]
    fn a_request_has_its_method_headers_and_body() {
        let request = HttpRequest {
            method: Method::Delete,
            headers: vec![("accept".into(), "text/html".into()), ("X-Id".into(), "7".into())],
            body: Some(Body::of(b"gone \xff".to_vec())),
            expect: Some(Expectation::default()),
            ..HttpRequest::get("/a?b")
        };
        let http = HttpRequests {
            requests: vec![request],
            host: Some("shop.example".into()),
            ..HttpRequests::default()
        };
        let expect = Expect::ok(BodyRule::Length(5));
        let calls = Calls::of(&http, "[::1]:80".parse().unwrap(), &expect, (false, 0)).unwrap();
        let CallBytes::Fixed(bytes) = &calls.calls[0].bytes else {
            panic!("no template");
        };
        let text = String::from_utf8_lossy(bytes);
        let agent = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text,
            format!(
                "DELETE /a?b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: jung/{agent}\r\nConnection: close\r\n\
                 accept: text/html\r\nX-Id: 7\r\nContent-Length: 6\r\n\r\ngone \u{fffd}"
            )
        );
        assert_eq!(calls.labels[0].url, "http://shop.example/a?b");
        assert_eq!(calls.calls[0].expect, Expect::ok(BodyRule::Any));
        let plain = Calls::of(
            &HttpRequests::default(),
            "[::1]:80".parse().unwrap(),
            &expect,
            (true, 0),
        )
        .unwrap();
        assert_eq!(plain.calls[0].expect, expect);
        assert_eq!(plain.labels[0].url, "http://[::1]:80/");
    }
}
