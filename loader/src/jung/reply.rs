//! A request of the data set as it is asked over HTTP, and whether its reply is the right one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dataset::{Endpoint, Planned};
use super::names;

/// Readings a page that are asked for.
const PAGE: usize = 20;

/// The body of `POST .../commands`.
#[derive(Serialize)]
struct CommandBody {
    value: f64,
}

/// A user as the API shows it. Like the other replies it has these fields and no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserView {
    username: String,
    devices: Vec<String>,
    #[serde(rename = "rules")]
    _rules: Vec<Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceView {
    id: String,
    owner: String,
    #[serde(rename = "gateway")]
    _gateway: String,
}

/// A page of readings, the newest first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageView {
    device: String,
    #[serde(rename = "page")]
    _page: u32,
    #[serde(rename = "size")]
    _size: u32,
    #[serde(rename = "total")]
    _total: u64,
    /// How many of the device's readings can be had.
    kept: u64,
    readings: Vec<Reading>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    timestamp_ms: u64,
    #[serde(rename = "value")]
    _value: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandView {
    command: Uuid,
    device: String,
}

/// A request, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// The JSON of a POST; `None`: it is a GET.
    pub body: Option<Vec<u8>>,
}

/// A command that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commanded {
    /// Its identity.
    pub command: Uuid,
    /// The device.
    pub device: String,
}

impl Endpoint {
    /// The only status that counts.
    #[must_use]
    pub const fn right_status(self) -> u16 {
        match self {
            Self::PostCommand => 202,
            _ => 200,
        }
    }
}

impl Asked {
    /// A planned request of a user.
    #[must_use]
    pub fn of(user: u32, planned: &Planned) -> Self {
        let user = names::user(user);
        let device = format!("/users/{user}/devices/{}", planned.device);
        let (path, body) = match planned.endpoint {
            Endpoint::GetUser => (format!("/users/{user}"), None),
            Endpoint::GetDevice => (device, None),
            Endpoint::GetReadings => (format!("{device}/readings?page=0&size={PAGE}"), None),
            Endpoint::PostCommand => {
                let body = serde_json::to_vec(&CommandBody { value: planned.value });
                (format!("{device}/commands"), body.ok())
            }
        };
        Self { path, body }
    }
}

/// Is it the right user with as many devices, the right device, a full page, an accepted command? `body` came with the right status.
///
/// # Errors
/// What is wrong with the body, in words.
pub fn check(user: u32, devices: u32, planned: &Planned, body: &[u8]) -> Result<Option<Commanded>, String> {
    let name = names::user(user);
    match planned.endpoint {
        Endpoint::GetUser => {
            let view: UserView = read(body)?;
            if view.username != name || u32::try_from(view.devices.len()) != Ok(devices) {
                return Err(format!("it is {} with {} devices", view.username, view.devices.len()));
            }
        }
        Endpoint::GetDevice => {
            let view: DeviceView = read(body)?;
            if view.id != planned.device || view.owner != name {
                return Err(format!("it is {} of {}", view.id, view.owner));
            }
        }
        Endpoint::GetReadings => check_page(planned, &read(body)?)?,
        Endpoint::PostCommand => {
            let view: CommandView = read(body)?;
            if view.device != planned.device {
                return Err(format!("the command is for {}", view.device));
            }
            return Ok(Some(Commanded {
                command: view.command,
                device: planned.device.clone(),
            }));
        }
    }
    Ok(None)
}

fn check_page(planned: &Planned, view: &PageView) -> Result<(), String> {
    let full = usize::try_from(view.kept).unwrap_or(usize::MAX).min(PAGE);
    let ordered = view
        .readings
        .is_sorted_by(|newer, older| newer.timestamp_ms >= older.timestamp_ms);
    if view.device != planned.device || view.readings.len() != full || !ordered {
        return Err(format!("it has {} readings of {}", view.readings.len(), view.device));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(endpoint: Endpoint) -> Planned {
        Planned {
            endpoint,
            device: "device-3-7".into(),
            value: 21.0,
        }
    }

    fn verdict(endpoint: Endpoint, body: &str) -> Result<Option<Commanded>, String> {
        check(3, 2, &planned(endpoint), body.as_bytes())
    }

    #[test]
    fn requests_are_those_of_the_api() {
        let asked = |endpoint| Asked::of(3, &planned(endpoint));
        assert_eq!(asked(Endpoint::GetUser).path, "/users/user-3");
        let readings = asked(Endpoint::GetReadings);
        assert_eq!(
            readings.path,
            "/users/user-3/devices/device-3-7/readings?page=0&size=20"
        );
        assert_eq!(readings.body, None);
        let command = asked(Endpoint::PostCommand);
        assert_eq!(command.path, "/users/user-3/devices/device-3-7/commands");
        assert_eq!(command.body.unwrap(), br#"{"value":21.0}"#);
    }

    #[test]
    fn a_reply_about_another_is_wrong() {
        let user = |name: &str| format!(r#"{{"username":"{name}","devices":["a","b"],"rules":[]}}"#);
        assert_eq!(verdict(Endpoint::GetUser, &user("user-3")), Ok(None));
        assert!(verdict(Endpoint::GetUser, &user("user-4")).is_err());
        let device = |id: &str| format!(r#"{{"id":"{id}","owner":"user-3","gateway":"g"}}"#);
        assert_eq!(verdict(Endpoint::GetDevice, &device("device-3-7")), Ok(None));
        assert!(verdict(Endpoint::GetDevice, &device("device-3-8")).is_err());
        assert!(verdict(Endpoint::GetDevice, "").is_err());
    }

    #[test]
    fn a_page_is_full_and_the_newest_first() {
        let page = |kept: u32, times: &[u64]| {
            let readings: Vec<_> = times
                .iter()
                .map(|time| format!(r#"{{"timestamp_ms":{time},"value":1.0}}"#))
                .collect();
            let readings = readings.join(",");
            format!(r#"{{"device":"device-3-7","page":0,"size":20,"total":9,"kept":{kept},"readings":[{readings}]}}"#)
        };
        assert_eq!(verdict(Endpoint::GetReadings, &page(2, &[9, 8])), Ok(None));
        assert!(verdict(Endpoint::GetReadings, &page(2, &[8, 9])).is_err());
        assert!(verdict(Endpoint::GetReadings, &page(2, &[9])).is_err());
    }

    #[test]
    fn an_accepted_command_is_named() {
        let command = Uuid::from_u128(7);
        let body = format!(r#"{{"command":"{command}","device":"device-3-7"}}"#);
        let device = "device-3-7".to_owned();
        assert_eq!(
            verdict(Endpoint::PostCommand, &body),
            Ok(Some(Commanded { command, device }))
        );
    }
}
