//! The servers: nginx, the workload tcp, and one with a known delay, each a process on the servers' core.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use workloads::shutdown::Shutdown;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// What it is.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    folder: Option<tempfile::TempDir>,
}

/// Bytes of a reply's body.
pub const BODY: usize = 1000;

impl Server {
    /// Debian's nginx, one process, a thousand letters A.
    pub fn nginx(cpu: usize) -> anyhow::Result<Self> {
        let (folder, address) = (tempfile::tempdir()?, free()?);
        let place = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
             events {{ worker_connections 8192; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {place}/1; proxy_temp_path {place}/2;\n\
             fastcgi_temp_path {place}/3; uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;\n\
             server {{ listen {address} backlog=4096; location / {{ return 200 \"{}\"; }} }} }}\n",
            "A".repeat(BODY)
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config)?;
        let mut command = pinned("nginx", cpu);
        command
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"));
        let mut server = Self::start("nginx", command, address)?;
        server.folder = Some(folder);
        Ok(server)
    }

    /// Our workload.
    pub fn tcp(cpu: usize) -> anyhow::Result<Self> {
        let address = free()?;
        let mut command = pinned(own()?, cpu);
        command.args(["serve-tcp", &address.port().to_string()]);
        Self::start("tcp", command, address)
    }

    /// A server that answers so many microseconds after it read a request.
    pub fn delay(cpu: usize, micros: u64) -> anyhow::Result<Self> {
        let address = free()?;
        let mut command = pinned(own()?, cpu);
        command.args(["serve-delay", &address.port().to_string(), &micros.to_string()]);
        Self::start("delay", command, address)
    }

    fn start(name: &'static str, mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("{name} cannot be started"))?;
        let server = Self {
            child,
            name,
            address,
            folder: None,
        };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                bail!("{name} does not listen at {address} after 20 s");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to say then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs on one core.
pub fn pinned(program: impl AsRef<std::ffi::OsStr>, cpu: usize) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cpu.to_string()).arg(program);
    command
}

/// The path of this program.
pub fn own() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("the path of this program")
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The workload tcp in this process, for ever.
pub fn serve_tcp(port: u16) -> anyhow::Result<()> {
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let options = workloads::tcp::Options {
        listen,
        reply_bytes: BODY,
        threads: 1,
        connections: 8000,
        idle: 600,
    };
    let (shutdown, _trigger) = Shutdown::by_hand()?;
    let listeners = workloads::listen::tcp(listen, 1)?;
    workloads::tcp::serve(listeners, &options, &shutdown)?;
    Ok(())
}
