//! The broker as a child process that can be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A broker process; killed when dropped.
pub struct BrokerProcess {
    pub child: Child,
    pub address: String,
}

impl BrokerProcess {
    /// Starts the broker on `bind` (port 0 for a free port) and waits until it is listening.
    pub fn start(data: &Path, bind: &str, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["--listen", bind, "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .expect("listening on ADDRESS")
            .to_owned();
        BrokerProcess { child, address }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _already_exited = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}
