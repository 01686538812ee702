//! An engine of the test's own, in a network namespace of its own, so that the machine's is never touched: `deploy/docker/engine.sh`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::engine::EngineSocket;
use protocol::spec;

/// An engine; it and all that is in it are gone when this is dropped.
pub struct Engine {
    pub whose: spec::Engine,
    pub socket: EngineSocket,
    netns: PathBuf,
    /// Short, since a socket's path must be.
    dir: tempfile::TempDir,
}

impl Engine {
    /// Starts `dockerd` with its runtimes, and one more as `NAME=PATH`.
    pub fn docker(runtime: Option<&str>) -> Self {
        Self::start(spec::Engine::Docker, runtime, "")
    }

    /// Starts `dockerd` with more options, separated by spaces.
    pub fn docker_with(options: &str) -> Self {
        Self::start(spec::Engine::Docker, None, options)
    }

    /// Starts Podman's service, whose containers are made by a runtime.
    pub fn podman(runtime: &str) -> Self {
        Self::start(spec::Engine::Podman, Some(runtime), "")
    }

    fn start(whose: spec::Engine, runtime: Option<&str>, options: &str) -> Self {
        let kind = match whose {
            spec::Engine::Docker => "docker",
            spec::Engine::Podman => "podman",
        };
        let dir = tempfile::Builder::new().prefix("eng").tempdir_in("/tmp").unwrap();
        let mut command = script();
        command.args(["start", kind, "--dir"]).arg(dir.path());
        command.env("DOCKERD_OPTIONS", options);
        if let Some(runtime) = runtime {
            command.args(["--runtime", runtime]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        let [netns, socket] = lines[..] else {
            panic!("{kind}: {said}{}", String::from_utf8_lossy(&output.stderr));
        };
        Self {
            whose,
            socket: socket.parse().unwrap(),
            netns: netns.into(),
            dir,
        }
    }

    /// Runs a test's work where the engine's containers can be reached: on a thread that has entered its network.
    pub fn within<F: Future<Output = ()>>(&self, work: impl FnOnce() -> F + Send) {
        let netns = std::fs::File::open(&self.netns).unwrap();
        let thread = move || {
            nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work());
        };
        std::thread::scope(|scope| scope.spawn(thread).join()).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = script().args(["stop", "--dir"]).arg(self.dir.path()).status();
    }
}

fn script() -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/engine.sh");
    Command::new(path)
}
