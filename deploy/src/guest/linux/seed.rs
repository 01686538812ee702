//! The cloud-init seed of a guest: its name, its network, and a systemd unit that runs the service.
//!
//! The data source is NoCloud (cloud-init documentation, *Datasources, NoCloud*): a FAT disk labelled `CIDATA` with `meta-data`, `user-data` and
//! `network-config`. All three are YAML, of which JSON is a subset, so no value that is filled in can become a key. The workload program is on another disk,
//! labelled [`PROGRAM_LABEL`], which all guests share.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::fat::{self, FatError};
use crate::guest::tree::{Tree, TreeError};

/// Label of the disk with the workload program.
pub const PROGRAM_LABEL: &str = "JUNG";
/// Label by which cloud-init finds the seed.
const SEED_LABEL: &str = "CIDATA";
/// Mount point of the disk with the program.
const MOUNT: &str = "/run/jung";
/// Where the runner copies the program to.
pub const PROGRAM: &str = "/usr/local/bin/workload";
/// The script that reports how the service ended.
const ENDED: &str = "/usr/local/lib/jung-ended";
/// Reports on the console that the SSH server is up. The guest counts as up then, though its service is not.
const SSH_IS_UP: &str = "printf '\\njung: started ssh\\n' >/dev/console";
/// Turns systemd's `EXIT_CODE` and `EXIT_STATUS` into one number: an exit code, or a negative signal number.
const ENDED_SCRIPT: &str = "#!/bin/sh
case $EXIT_CODE.$EXIT_STATUS in
    exited.*) code=$EXIT_STATUS ;;
    *.KILL) code=-9 ;;
    *.TERM) code=-15 ;;
    *.SEGV) code=-11 ;;
    *.ABRT) code=-6 ;;
    *) code=-1 ;;
esac
printf '\\njung: the workload ended with code %s\\n' \"$code\" >/dev/console
";

/// The contents of one guest's seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed<'a> {
    /// Identifies this instance: cloud-init runs once per instance.
    pub instance: &'a str,
    /// The service's name.
    pub service: &'a str,
    /// The guest's address.
    pub ip: Ipv4Addr,
    /// The mask of its network.
    pub mask: Ipv4Addr,
    /// The host's address in that network.
    pub gateway: Ipv4Addr,
    /// The MAC address of its network card.
    pub mac: &'a str,
    /// The arguments of the workload program, checked by [`template::check`](crate::guest::template::check).
    pub args: &'a [String],
    /// The keys for SSH; `None`: no login, and the service starts by itself.
    pub access: Option<&'a Access>,
}

/// The keys with which the runner logs in as root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The client's public key.
    pub authorized: String,
    /// The server's private key.
    pub host_private: String,
    /// The server's public key.
    pub host_public: String,
}

/// Why a seed cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The tree is invalid.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk cannot be written.
    #[error(transparent)]
    Fat(#[from] FatError),
}

impl Seed<'_> {
    /// The disk with the seed.
    ///
    /// # Errors
    /// See [`SeedError`].
    pub fn disk(&self) -> Result<Vec<u8>, SeedError> {
        let mut tree = Tree::default();
        tree.file("/meta-data", self.meta_data().to_string().into(), false)?;
        tree.file("/network-config", self.network().to_string().into(), false)?;
        let user_data = format!("#cloud-config\n{}\n", self.user_data());
        tree.file("/user-data", user_data.into(), false)?;
        Ok(fat::write(SEED_LABEL, &tree)?)
    }

    fn meta_data(&self) -> Value {
        json!({"instance-id": self.instance, "local-hostname": self.service.replace('_', "-")})
    }

    /// Version 1 of the format, which all renderers support.
    fn network(&self) -> Value {
        let subnet = json!({
            "type": "static", "address": self.ip, "netmask": self.mask, "gateway": self.gateway,
        });
        json!({
            "version": 1,
            "config": [{"type": "physical", "name": "eth0", "mac_address": self.mac, "subnets": [subnet]}],
        })
    }

    fn user_data(&self) -> Value {
        let mut data = json!({
            // No accounts and no generated keys: they cost boot time (half a minute under emulation) and are not needed.
            "users": [],
            "ssh_deletekeys": false,
            "ssh_genkeytypes": [],
            "write_files": [
                {"path": ENDED, "permissions": "0755", "content": ENDED_SCRIPT},
                {"path": "/etc/systemd/system/jung.service", "content": self.unit()},
            ],
            "runcmd": [["systemctl", "start", "--no-block", "jung.service"]],
        });
        if let Some(access) = self.access {
            data["disable_root"] = json!(false);
            data["ssh_authorized_keys"] = json!([access.authorized]);
            data["ssh_keys"] = json!({"ed25519_private": access.host_private, "ed25519_public": access.host_public});
            data["runcmd"] = json!([["systemctl", "start", "ssh.service"], ["sh", "-c", SSH_IS_UP]]);
        }
        data
    }

    /// The systemd unit. The machine powers off when the service has ended, like the other guests.
    fn unit(&self) -> String {
        // systemd expands specifiers, which begin with a percent sign.
        let args = self.args.join(" ").replace('%', "%%");
        let program = match self.access {
            Some(_) => format!("ExecStart={PROGRAM}"),
            None => format!(
                "ExecStartPre=/bin/mkdir -p {MOUNT}\nExecStartPre=/bin/mount -o ro LABEL={PROGRAM_LABEL} {MOUNT}\nExecStart={MOUNT}/workload"
            ),
        };
        format!(
            "[Unit]\nDescription=Jung: {service}\nSuccessAction=poweroff\nFailureAction=poweroff\n\n\
             [Service]\nStandardOutput=journal+console\nStandardError=journal+console\nLimitNOFILE=1048576\n\
             {program} {args}\n\
             ExecStartPost=/bin/sh -c 'printf \"\\\\njung: started {service}\\\\n\" >/dev/console'\n\
             ExecStopPost=/bin/sh {ENDED}\n",
            service = self.service,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use fatfs::{FileSystem, FsOptions};

    use super::*;

    fn files(args: &[&str]) -> [String; 3] {
        files_with(args, None)
    }

    fn files_with(args: &[&str], access: Option<Access>) -> [String; 3] {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let seed = Seed {
            instance: "018f-tcp_1",
            service: "tcp_1",
            ip: Ipv4Addr::new(10, 213, 1, 2),
            mask: Ipv4Addr::new(255, 255, 255, 0),
            gateway: Ipv4Addr::new(10, 213, 1, 1),
            mac: "52:54:0a:d5:01:02",
            args: &args,
            access: access.as_ref(),
        };
        let disk = FileSystem::new(Cursor::new(seed.disk().unwrap()), FsOptions::new()).unwrap();
        assert_eq!(disk.volume_label(), "CIDATA");
        ["meta-data", "network-config", "user-data"].map(|name| {
            let mut text = String::new();
            disk.root_dir()
                .open_file(name)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        })
    }

    #[test]
    fn the_guest_gets_its_name_and_address() {
        let [meta, network, _] = files(&[]);
        let meta: Value = serde_json::from_str(&meta).unwrap();
        assert_eq!(meta, json!({"instance-id": "018f-tcp_1", "local-hostname": "tcp-1"}));
        let network: Value = serde_json::from_str(&network).unwrap();
        let card = &network["config"][0];
        assert_eq!(card["mac_address"], "52:54:0a:d5:01:02");
        assert_eq!(card["subnets"][0]["address"], "10.213.1.2");
        assert_eq!(card["subnets"][0]["gateway"], "10.213.1.1");
    }

    #[test]
    fn the_unit_runs_the_service() {
        let [_, _, user] = files(&["tcp", "--listen", "10.213.1.2:80", "a%b"]);
        let json = user.strip_prefix("#cloud-config\n").unwrap();
        let user: Value = serde_json::from_str(json).unwrap();
        let unit = user["write_files"][1]["content"].as_str().unwrap();
        insta::assert_snapshot!(unit);
    }

    #[test]
    fn no_key_is_generated() {
        let [_, _, user] = files(&[]);
        let user: Value = serde_json::from_str(user.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(user["ssh_genkeytypes"], json!([]));
    }

    #[test]
    fn a_runner_that_logs_in_is_authorized_and_brings_the_program() {
        let access = Access {
            authorized: "ssh-ed25519 A jung".into(),
            host_private: "-----BEGIN\nB\n".into(),
            host_public: "ssh-ed25519 C jung".into(),
        };
        let [_, _, user] = files_with(&["tcp"], Some(access));
        let user: Value = serde_json::from_str(user.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(user["ssh_authorized_keys"], json!(["ssh-ed25519 A jung"]));
        assert_eq!(user["ssh_keys"]["ed25519_private"], "-----BEGIN\nB\n");
        let unit = user["write_files"][1]["content"].as_str().unwrap();
        assert!(
            unit.contains("\nExecStart=/usr/local/bin/workload tcp\n") && !unit.contains("mount"),
            "{unit}"
        );
        assert!(!user["runcmd"].to_string().contains("jung.service"), "{user}");
    }
}
