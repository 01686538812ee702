//! An engine for a test in a network namespace of its own, started by `deploy/docker/engine.sh`. The machine's engine is not used.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::engine::EngineSocket;
use protocol::spec;

/// An engine. Dropping it removes it with all its containers.
pub struct Engine {
    pub kind: spec::Engine,
    pub socket: EngineSocket,
    netns: PathBuf,
    /// In `/tmp`, because the path of a socket must be short.
    dir: tempfile::TempDir,
}

impl Engine {
    /// Starts `dockerd`, with an additional runtime as `NAME=PATH`.
    pub fn docker(runtime: Option<&str>) -> Self {
        Self::start(spec::Engine::Docker, runtime, "")
    }

    /// Starts `dockerd` with more options, separated by spaces.
    pub fn docker_with(options: &str) -> Self {
        Self::start(spec::Engine::Docker, None, options)
    }

    /// Starts Podman's service with a runtime.
    pub fn podman(runtime: &str) -> Self {
        Self::start(spec::Engine::Podman, Some(runtime), "")
    }

    fn start(kind: spec::Engine, runtime: Option<&str>, options: &str) -> Self {
        let word = match kind {
            spec::Engine::Docker => "docker",
            spec::Engine::Podman => "podman",
        };
        let dir = tempfile::Builder::new().prefix("eng").tempdir_in("/tmp").unwrap();
        let mut command = script();
        command.args(["start", word, "--dir"]).arg(dir.path());
        command.env("DOCKERD_OPTIONS", options);
        if let Some(runtime) = runtime {
            command.args(["--runtime", runtime]);
        }
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        let [netns, socket] = lines[..] else {
            panic!("{word}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        };
        Self {
            kind,
            socket: socket.parse().unwrap(),
            netns: netns.into(),
            dir,
        }
    }

    /// Part of the cgroup paths of all its containers and of their shims, and of no other engine's.
    pub fn cgroup(&self) -> String {
        format!("/jung-engine-{}/", self.netns.file_name().unwrap().display())
    }

    /// Runs a test on a thread in the engine's network namespace, where its containers can be reached.
    pub fn within<F: Future<Output = ()>>(&self, test: impl FnOnce() -> F + Send) {
        let netns = std::fs::File::open(&self.netns).unwrap();
        let thread = move || {
            nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(test());
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
