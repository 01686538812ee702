//! The way between a generator and a server: this machine's loopback, or a cable between two network namespaces that are gone with it.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context, ensure};
use nix::sched::{CloneFlags, setns};

use super::servers::pinned;

/// The ends of the cable (RFC 2544's addresses for benchmarks).
const HERE: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 2);

/// A way between a generator and a server.
#[derive(Debug)]
pub struct Path {
    /// The namespaces of the generator and of the server; `None`: this machine's own, for both.
    ends: Option<[String; 2]>,
    /// Where servers listen.
    pub address: IpAddr,
    /// What it is called.
    pub name: &'static str,
}

/// An end of a path.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// The generator's.
    Generator,
    /// The server's.
    Server,
}

impl Path {
    /// The loopback.
    pub fn loopback() -> Self {
        Self {
            ends: None,
            address: Ipv4Addr::LOCALHOST.into(),
            name: "loopback",
        }
    }

    /// A veth pair between two new namespaces; needs root.
    pub fn veth() -> anyhow::Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "a veth pair needs root: run the bench as root"
        );
        let ends = ["a", "b"].map(|end| format!("jung-bench-{}-{end}", std::process::id()));
        // From here on whatever is there is taken away again, even if the rest fails.
        let path = Self {
            address: THERE.into(),
            name: "a veth pair",
            ends: Some(ends.clone()),
        };
        let [here, there] = ends.each_ref().map(String::as_str);
        ip(&["netns", "add", here])?;
        ip(&["netns", "add", there])?;
        ip(&[
            "-n", here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there,
        ])?;
        for (end, address) in [(here, HERE), (there, THERE)] {
            ip(&["-n", end, "address", "add", &format!("{address}/30"), "dev", "cable"])?;
            ip(&["-n", end, "link", "set", "cable", "up"])?;
        }
        Ok(path)
    }

    /// A program at an end, on one core.
    pub fn command(&self, end: End, program: impl AsRef<std::ffi::OsStr>, cpu: usize) -> Command {
        let inner = pinned(program, cpu);
        let Some(ends) = &self.ends else { return inner };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &ends[end as usize]]);
        command.arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Does something at the generator's end. A thread changes its namespace for good, and so do those that it starts.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let Some([here, _]) = &self.ends else { return work() };
        let namespace = std::fs::File::open(format!("/run/netns/{here}"))?;
        let result = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            inside.join()
        });
        result.map_err(|_| anyhow::anyhow!("the thread in the namespace panicked"))?
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        for end in self.ends.iter().flatten() {
            // One that was not made cannot be taken away.
            let _ = Command::new("ip").args(["netns", "delete", end]).output();
        }
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .context("ip (apt-get install iproute2)")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
