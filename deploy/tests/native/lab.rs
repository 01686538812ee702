//! A host of its own for every test: a unique runner name, free ports, a temporary directory. Services are shell scripts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use deploy::native::Native;
use deploy::procfs::Procfs;
use deploy::{DeploymentSpec, Host};
use protocol::ids::{AttemptId, Name};
use protocol::spec::Place;
use protocol::spec::{HttpProbe, NativeSpec, PlatformSpec, Probe, Resources, ServiceSpec};

/// A small web server in Perl, which every Debian has: one request per connection, a body of ten letters.
const WEB: &str = r#"exec perl -MIO::Socket::INET -e '
    my $l = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 64, ReuseAddr => 1) or die "$ARGV[0]: $!";
    while (my $c = $l->accept) {
        while (my $line = <$c>) { last if $line eq "\r\n" }
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nAAAAAAAAAA";
        close $c;
    }' {listen}"#;

/// A host to deploy on.
pub struct Lab {
    pub host: Host,
    dir: tempfile::TempDir,
    cgroups: bool,
}

impl Lab {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            runner: name(&format!("test-{}", AttemptId::fresh())),
            address: "127.0.0.1".parse().unwrap(),
            workload: "/bin/sh".into(),
            state: dir.path().join("state"),
        };
        Self {
            host,
            dir,
            cgroups: true,
        }
    }

    pub fn without_cgroups() -> Self {
        Self {
            cgroups: false,
            ..Self::new()
        }
    }

    pub fn native(&self) -> Native {
        Native::new(&self.host)
    }

    pub fn driver(&self) -> Native {
        if self.cgroups {
            self.native()
        } else {
            Native::without_cgroups(&self.host)
        }
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.logs().join(format!("{service}.log"))).unwrap_or_default()
    }

    pub fn shell(&self, service: &str, script: &str) -> ServiceSpec {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        ServiceSpec {
            name: name(service),
            args: vec!["-c".into(), script.into()],
            place: Place::Platform,
            port: Some(port),
            ready: Probe::Http(HttpProbe {
                path: "/".into(),
                status: 200,
                body_bytes: Some(10),
            }),
        }
    }

    pub fn http(&self, service: &str) -> ServiceSpec {
        self.shell(service, WEB)
    }

    pub fn deployment(&self, services: &[ServiceSpec]) -> DeploymentSpec {
        DeploymentSpec {
            attempt: AttemptId::fresh(),
            platform: PlatformSpec::Native(NativeSpec {}),
            services: services.to_vec(),
            resources: Resources::default(),
            logs: self.logs(),
            grace: Duration::from_secs(2),
        }
    }
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn alive(pid: u32) -> bool {
    Procfs::default().is_alive(pid)
}

/// Waits until a condition holds, for a long time, since the machine may be busy.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "timeout waiting for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
