//! A group under random events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::{Group, GroupLimits, JoinAnswer, JoinRequest, State, SyncAnswer, SyncRequest};

const LIMITS: GroupLimits = GroupLimits {
    members: 10,
    session_min: Duration::from_secs(1),
};

#[derive(Debug, Clone)]
enum Event {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Vanish(usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..4usize;
    prop_oneof![
        4 => who.clone().prop_map(Event::Join),
        4 => who.clone().prop_map(Event::Sync),
        2 => who.clone().prop_map(Event::Heartbeat),
        1 => who.clone().prop_map(Event::Leave),
        1 => who.prop_map(Event::Vanish),
        2 => (1..8000u64).prop_map(Event::Wait),
    ]
}

/// What a client knows of itself.
#[derive(Default)]
struct Client {
    id: String,
    generation: i32,
    leads: Vec<String>,
    joining: Option<oneshot::Receiver<JoinAnswer>>,
    syncing: Option<oneshot::Receiver<SyncAnswer>>,
}

fn join_request(id: &str) -> JoinRequest {
    JoinRequest {
        member: id.to_owned(),
        instance: None,
        client: "c".to_owned(),
        host: "/h".to_owned(),
        session: Duration::from_secs(5),
        rebalance: Duration::from_secs(10),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
        id_required: true,
    }
}

impl Client {
    fn act(&mut self, event: &Event, group: &mut Group, now: Instant) {
        match event {
            Event::Join(_) => {
                let (reply, answer) = oneshot::channel();
                self.joining = Some(answer);
                group.join(join_request(&self.id), reply, now);
            }
            Event::Sync(_) => {
                let (reply, answer) = oneshot::channel();
                let shares = self.leads.iter().map(|id| (id.clone(), Bytes::from(id.clone())));
                let assignments: HashMap<_, _> = shares.collect();
                let member = self.id.clone();
                let request = SyncRequest {
                    member,
                    generation: self.generation,
                    assignments,
                    ..Default::default()
                };
                self.syncing = Some(answer);
                group.sync(request, reply, now);
            }
            Event::Heartbeat(_) => drop(group.heartbeat(&self.id, None, self.generation, now)),
            Event::Leave(_) => drop(group.leave(&self.id, None, now)),
            Event::Vanish(_) => *self = Client::default(),
            Event::Wait(_) => {}
        }
    }

    /// Takes the answers that have come; checks that a share is the member's own.
    fn listen(&mut self) {
        if let Some(Ok(answer)) = self.joining.as_mut().map(oneshot::Receiver::try_recv) {
            self.joining = None;
            self.generation = answer.generation;
            self.id = if answer.error == Some(kafka_protocol::ResponseError::UnknownMemberId) {
                String::new()
            } else {
                answer.member
            };
            self.leads = answer.members.into_iter().map(|member| member.member).collect();
        }
        if let Some(Ok(answer)) = self.syncing.as_mut().map(oneshot::Receiver::try_recv) {
            self.syncing = None;
            if answer.error.is_none() && !answer.assignment.is_empty() {
                assert_eq!(answer.assignment, self.id.as_bytes());
            }
        }
    }
}

fn check(group: &Group) {
    let leader = group.leader.as_ref();
    match group.state() {
        State::Empty => assert!(group.members().is_empty()),
        State::Preparing { .. } => {
            assert!(
                group.members().values().any(|m| m.joining.is_none()),
                "all have joined and nothing happens"
            );
        }
        State::Completing { .. } => {
            assert!(leader.is_some_and(|leader| group.members().contains_key(leader)));
            assert!(group.members().values().all(|m| m.joining.is_none()));
        }
        State::Stable => {
            assert!(!group.members().is_empty());
            assert!(
                group
                    .members()
                    .values()
                    .all(|m| m.joining.is_none() && m.syncing.is_none())
            );
        }
    }
}

proptest! {
    #[test]
    fn a_group_survives_any_order_of_events(events in proptest::collection::vec(event(), 1..80)) {
        let mut group = Group::new(LIMITS);
        let mut clients: [Client; 4] = Default::default();
        let mut now = Instant::now();
        let mut generation = 0;
        for event in events {
            match &event {
                Event::Wait(ms) => now += Duration::from_millis(*ms),
                Event::Join(n) | Event::Sync(n) | Event::Heartbeat(n) | Event::Leave(n) | Event::Vanish(n) => {
                    clients[*n].act(&event, &mut group, now);
                }
            }
            group.tick(now);
            clients.iter_mut().for_each(Client::listen);
            check(&group);
            prop_assert!(group.generation() >= generation);
            generation = group.generation();
        }
        // Left alone, the group ends empty and owes nobody an answer.
        for _ in 0..60 {
            now += Duration::from_secs(1);
            group.tick(now);
        }
        prop_assert_eq!(group.state(), State::Empty);
        clients.iter_mut().for_each(|client| {
            client.listen();
            assert!(client.joining.as_mut().is_none_or(|answer| answer.try_recv() != Err(oneshot::error::TryRecvError::Empty)));
        });
    }
}
