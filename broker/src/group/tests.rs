//! A group under random events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::{Group, GroupLimits, JoinRequest, JoinResponse, MemberContext, State, SyncRequest, SyncResponse};

const LIMITS: GroupLimits = GroupLimits {
    members: 10,
    min_session_timeout: Duration::from_secs(1),
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

/// A client's view of its membership.
#[derive(Default)]
struct Client {
    id: String,
    generation: i32,
    /// The members to assign to, if this client is the leader.
    members: Vec<String>,
    joining: Option<oneshot::Receiver<JoinResponse>>,
    syncing: Option<oneshot::Receiver<SyncResponse>>,
}

fn join_request(id: &str) -> JoinRequest {
    JoinRequest {
        member_id: id.to_owned(),
        instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        session_timeout: Duration::from_secs(5),
        rebalance_timeout: Duration::from_secs(10),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
        member_id_required: true,
    }
}

impl Client {
    fn act(&mut self, event: &Event, group: &mut Group, now: Instant) {
        match event {
            Event::Join(_) => {
                let (reply, response) = oneshot::channel();
                self.joining = Some(response);
                group.join(join_request(&self.id), reply, now);
            }
            Event::Sync(_) => {
                let (reply, response) = oneshot::channel();
                let assignments = self.members.iter().map(|id| (id.clone(), Bytes::from(id.clone())));
                let assignments: HashMap<_, _> = assignments.collect();
                let request = SyncRequest {
                    member_id: self.id.clone(),
                    generation: self.generation,
                    assignments,
                    ..Default::default()
                };
                self.syncing = Some(response);
                group.sync(request, reply, now);
            }
            Event::Heartbeat(_) => {
                let from = MemberContext {
                    member_id: self.id.clone(),
                    instance_id: None,
                    generation: self.generation,
                };
                let _result = group.heartbeat(&from, now);
            }
            Event::Leave(_) => drop(group.leave(&self.id, None, now)),
            Event::Vanish(_) => *self = Client::default(),
            Event::Wait(_) => {}
        }
    }

    /// Receives pending responses; checks that an assignment is the member's own.
    fn receive(&mut self) {
        if let Some(Ok(response)) = self.joining.as_mut().map(oneshot::Receiver::try_recv) {
            self.joining = None;
            self.generation = response.generation;
            self.id = if response.error == Some(kafka_protocol::ResponseError::UnknownMemberId) {
                String::new()
            } else {
                response.member_id
            };
            self.members = response.members.into_iter().map(|member| member.member_id).collect();
        }
        if let Some(Ok(response)) = self.syncing.as_mut().map(oneshot::Receiver::try_recv) {
            self.syncing = None;
            if response.error.is_none() && !response.assignment.is_empty() {
                assert_eq!(response.assignment, self.id.as_bytes());
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
                "all members have joined but the rebalance does not complete"
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
    fn group_stays_consistent_under_random_events(events in proptest::collection::vec(event(), 1..80)) {
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
            clients.iter_mut().for_each(Client::receive);
            check(&group);
            prop_assert!(group.generation() >= generation);
            generation = group.generation();
        }
        // Without further requests the group becomes empty and no request stays pending.
        for _ in 0..60 {
            now += Duration::from_secs(1);
            group.tick(now);
        }
        prop_assert_eq!(group.state(), State::Empty);
        clients.iter_mut().for_each(|client| {
            client.receive();
            assert!(client.joining.as_mut().is_none_or(|response| response.try_recv() != Err(oneshot::error::TryRecvError::Empty)));
        });
    }
}
