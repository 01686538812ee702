//! A service that needs nothing of this project.

use protocol::Name;
use protocol::spec::{HttpProbe, Probe, WorkloadService};

use crate::{free_port, name};

/// A small web server in Perl, which every Debian has: one request a connection, a body of ten letters. An argument of `/bin/sh -c`.
pub const WEB: &str = r#"exec perl -MIO::Socket::INET -e '
    my $l = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 64, ReuseAddr => 1) or die "$ARGV[0]: $!";
    while (my $c = $l->accept) {
        while (my $line = <$c>) { last if $line eq "\r\n" }
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nAAAAAAAAAA";
        close $c;
    }' {listen}"#;

/// A service of a script for `/bin/sh`, on a port of its own, ready when it replies as [`WEB`] does.
#[must_use]
pub fn script(service: &str, script: &str) -> (Name, WorkloadService) {
    let workload = WorkloadService {
        args: vec!["-c".into(), script.into()],
        port: Some(free_port()),
        ready: Probe::Http(HttpProbe {
            path: "/".into(),
            status: 200,
            body_bytes: Some(10),
            body: None,
        }),
    };
    (name(service), workload)
}
