//! Reading the truth back from a device gateway.

use std::net::SocketAddr;

use super::client::{Client, ClientError};
use super::reply::Commanded;
use super::truth::{Truth, compare};
use crate::jung::record::{Commands, Devices, Entry};

/// Reads the book of a device gateway and compares.
///
/// # Errors
/// [`ClientError`] if the gateway cannot be asked.
pub async fn read_back(admin: SocketAddr, accepted: &[Commanded]) -> Result<Truth, ClientError> {
    let mut client = Client::new(admin, None);
    let entries = book(&mut client).await?;
    let devices: Devices = client.get("/devices").await?;
    Ok(compare(accepted, &entries, &devices.devices))
}

async fn book(client: &mut Client) -> Result<Vec<Entry>, ClientError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let from = entries.last().map_or(0, |last| last.number + 1);
        let next: Commands = client.get(&format!("/commands?from={from}")).await?;
        if next.commands.is_empty() {
            return Ok(entries);
        }
        entries.extend(next.commands);
    }
}
