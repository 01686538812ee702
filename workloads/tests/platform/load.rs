//! A small load on the platform that checks every reply, and the validation of the device gateway's record.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::future::join_all;
use uuid::Uuid;
use workloads::jung::Client;
use workloads::jung::client::ClientError;
use workloads::jung::message::Origin;
use workloads::jung::record::{Commands, Entry};
use workloads::jung::seed::{INITIAL_STATE, device_id, password, user_name};
use workloads::jung::view::{CommandBody, CommandView, DeviceView, PageView, UserView};

/// Readings per page.
const PAGE: u64 = 20;

/// A load on the platform.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Number of concurrent users.
    pub users: u32,
    /// Devices of each user.
    pub devices: u32,
    /// Requests of each of the four kinds that a user sends.
    pub each: u32,
}

impl Load {
    /// Sends the load, which must succeed; returns the accepted commands.
    pub async fn send(self, gateway: SocketAddr) -> Vec<(Uuid, String)> {
        let users = join_all((0..self.users).map(|user| self.one_user(gateway, user))).await;
        let commands: Vec<_> = users.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(commands.len(), usize::try_from(self.users * self.each).unwrap());
        commands
    }

    async fn one_user(self, gateway: SocketAddr, user: u32) -> Result<Vec<(Uuid, String)>, ClientError> {
        let name = user_name(user);
        let mut client = Client::new(gateway, Some((&name, &password(user))));
        let devices = (0..self.each).map(|number| device_id(user, number % self.devices));
        for _ in 0..self.each {
            let view: UserView = client.get(&format!("/users/{name}")).await?;
            assert_eq!(view.username.as_str(), name);
            assert_eq!(u32::try_from(view.devices.len()), Ok(self.devices));
            pause().await;
        }
        for device in devices.clone() {
            let view: DeviceView = client.get(&format!("/users/{name}/devices/{device}")).await?;
            assert_eq!((view.id.as_str(), view.owner.as_str()), (&*device, &*name));
            pause().await;
        }
        for device in devices.clone() {
            let path = format!("/users/{name}/devices/{device}/readings?page=0&size={PAGE}");
            let view: PageView = client.get(&path).await?;
            assert_eq!(view.device.as_str(), device);
            assert_eq!(u64::try_from(view.readings.len()), Ok(view.kept.min(PAGE)));
            pause().await;
        }
        let mut commands = Vec::new();
        for device in devices {
            let path = format!("/users/{name}/devices/{device}/commands");
            // Violates the rules.
            let body = CommandBody {
                value: INITIAL_STATE + 1.0,
            };
            let view: CommandView = client.post(&path, &body, StatusCode::ACCEPTED).await?;
            assert_eq!(view.device.as_str(), device);
            commands.push((view.command, device));
            pause().await;
        }
        Ok(commands)
    }
}

/// Think time of a user.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Waits until the device gateway has executed all commands, and a rule has restored every state that violated it: rules
/// have two seconds, and the machine may be slow.
pub async fn assert_record_valid(admin: SocketAddr, commands: &[(Uuid, String)]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let entries = read_entries(admin).await;
        let executed: HashSet<_> = entries.iter().map(|it| (it.command, it.device.as_str())).collect();
        let lost = commands
            .iter()
            .filter(|(id, device)| !executed.contains(&(*id, device)))
            .count();
        let is_violation = |it: &&Entry| it.after != INITIAL_STATE && it.read_at_ns.is_some();
        let violations: Vec<_> = entries.iter().filter(is_violation).collect();
        let is_restored = |violation: &Entry| {
            entries.iter().any(|it| {
                it.device == violation.device && it.origin == Origin::Rule && Some(it.at_ns) >= violation.read_at_ns
            })
        };
        let restored = violations.iter().filter(|it| is_restored(it)).count();
        if lost == 0 && !violations.is_empty() && restored == violations.len() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{lost} commands lost, {restored} of {} violations restored",
            violations.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn read_entries(admin: SocketAddr) -> Vec<Entry> {
    let mut client = Client::new(admin, None);
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page: Commands = client.get(&format!("/commands?from={}", entries.len())).await.unwrap();
        if page.commands.is_empty() {
            return entries;
        }
        entries.extend(page.commands);
    }
}
