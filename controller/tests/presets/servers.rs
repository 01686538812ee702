//! The services that the load programs are run against.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::free_port;
use testkit::process::Running;
use testkit::wait::until;

/// A running service, with a directory of its own.
pub struct Server {
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    program: Running,
}

impl Server {
    fn start(what: &'static str, command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let command = command(folder.path(), port);
        let program = Running::start(what, command, &folder.path().join("log"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            address,
            folder,
            program,
        }
    }

    fn accepts(self) -> Self {
        until("the service accepts", || TcpStream::connect(self.address).is_ok());
        self
    }

    /// The HTTP service of the workload `tcp`.
    pub fn http() -> Self {
        let mut server = Self::start("workload", |_, port| {
            let mut command = Command::new(next_to_controller("workload"));
            command.args(["tcp", "--listen", &format!("127.0.0.1:{port}"), "--reply-bytes", "1000"]);
            command
        });
        server.program.wait_for("listening on");
        server
    }

    pub fn redis() -> Self {
        let server = Self::start("redis-server", |folder, port| {
            let mut command = Command::new("redis-server");
            command
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--dir",
                ])
                .arg(folder);
            command
        });
        server.accepts()
    }

    pub fn iperf3() -> Self {
        let server = Self::start("iperf3", |_, port| {
            let mut command = Command::new("iperf3");
            command.args(["--server", "--bind", "127.0.0.1", "--port", &port.to_string()]);
            command
        });
        server.accepts()
    }

    /// A DNS server that knows every name.
    pub fn dns() -> Self {
        let mut server = Self::start("dnsmasq", |_, port| {
            let mut command = Command::new("/usr/sbin/dnsmasq");
            command.args([
                "--no-daemon",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ]);
            command.args([
                "--listen-address=127.0.0.1",
                "--address=/#/127.0.0.1",
                &format!("--port={port}"),
            ]);
            command
        });
        server.program.wait_for("started");
        server
    }

    /// Jung's broker.
    pub fn kafka() -> Self {
        let mut server = Self::start("broker", |folder, port| {
            let mut command = Command::new(next_to_controller("broker"));
            command
                .args(["--listen", &format!("127.0.0.1:{port}"), "--data"])
                .arg(folder.join("data"));
            command
        });
        server.program.wait_for("listening on");
        server
    }

    /// PostgreSQL with a database and a user `sbtest`; it refuses to run as root.
    pub fn postgres() -> Self {
        let programs = postgres_programs();
        let server = Self::start("postgres", |folder, port| {
            let data = folder.join("data");
            std::fs::create_dir(&data).unwrap();
            // Its user has to reach the directory.
            run(Command::new("chmod").arg("755").arg(folder));
            run(Command::new("chown").arg("postgres").arg(&data));
            run(as_postgres(&programs.join("initdb"))
                .args(["--no-sync", "-U", "sbtest", "-A", "trust", "-D"])
                .arg(&data));
            let mut command = as_postgres(&programs.join("postgres"));
            command
                .arg("-D")
                .arg(&data)
                .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            command.args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
            command
        });
        let port = server.address.port().to_string();
        let createdb = || {
            let mut command = Command::new(programs.join("createdb"));
            command.args(["-h", "127.0.0.1", "-p", &port, "-U", "sbtest", "sbtest"]);
            command.output().unwrap().status.success()
        };
        until("PostgreSQL creates a database", createdb);
        server
    }

    /// A directory that lives as long as the service.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"])
        .arg(program)
        .current_dir("/");
    command
}

/// The folder of Debian's PostgreSQL, whatever its version.
fn postgres_programs() -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is missing: deploy/setup.sh load-programs");
    versions
        .map(|version| version.unwrap().path().join("bin"))
        .max()
        .unwrap()
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// One of the project's programs, which `cargo build --workspace` builds.
pub fn next_to_controller(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_controller")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace first",
        path.display()
    );
    path
}
