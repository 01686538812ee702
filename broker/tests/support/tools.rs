//! External programs: kcat, Python, Apache Kafka and its console tools.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a program with input on stdin and returns its stdout; panics unless it succeeds.
pub fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        // Cargo's points to the librdkafka of the tests; external programs must use their own.
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{out}\n{err}",
        output.status
    );
    out.into_owned()
}

fn script() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/kafka.sh");
    path.to_str().unwrap().to_owned()
}

/// Runs one of Apache Kafka's console tools.
pub fn kafka_tool(arguments: &[&str], input: &str) -> String {
    let arguments: Vec<_> = ["tool"].iter().chain(arguments).copied().collect();
    run(&script(), &arguments, input)
}

/// A single-node Apache Kafka; stopped when dropped.
pub struct ApacheKafka {
    pub address: String,
    folder: tempfile::TempDir,
}

impl ApacheKafka {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = run(
            &script(),
            &["start", "--port", "0", "--dir", folder.path().to_str().unwrap()],
            "",
        );
        ApacheKafka {
            address: address.trim().to_owned(),
            folder,
        }
    }
}

impl Drop for ApacheKafka {
    fn drop(&mut self) {
        run(&script(), &["stop", "--dir", self.folder.path().to_str().unwrap()], "");
    }
}
