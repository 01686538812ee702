//! Described services as processes of the host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use deploy::{Described, Driver, Service, ready};
use protocol::size::Part;
use protocol::summary::Exit;
use testkit::free_port;

use crate::lab::{Lab, name};

/// A service of a description, with its files below `folder`.
fn described(text: &str, folder: Option<PathBuf>) -> Service {
    let description = protocol::description::parse("test", text).unwrap();
    let values = description.values(&BTreeMap::new()).unwrap();
    Service::described(
        name("web"),
        Described::new(description, values, folder, 1 << 20).unwrap(),
    )
}

fn web(more: &str) -> String {
    let port = free_port();
    format!(
        r#"parameters = {{ port = {port} }}
[[file]]
path = "bin/server"
executable = true
contents = '''#!/usr/bin/perl
use IO::Socket::INET;
my $l = IO::Socket::INET->new(LocalAddr => "{{listen}}", Listen => 64, ReuseAddr => 1) or die "$!";
open(my $out, ">", "written") or die "$!";
print $out "x" x 10000;
close $out;
my $body = "$ENV{{GREETING}} in " . `pwd` . " as " . getpwuid($>);
while (my $c = $l->accept) {{
    while (my $line = <$c>) {{ last if $line eq "\r\n" }}
    print $c "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $c;
}}
'''
[native]
program = "perl"
args = ["{{dir}}/bin/server"]
env = {{ GREETING = "{{service}} at {{address}}" }}
{more}
"#
    )
}

#[tokio::test]
async fn a_described_service_has_its_files_and_leaves_none() {
    let lab = Lab::new();
    let text = web("[ready]\nbody = '^web at 127.0.0.1 in .*/state/working/.*-web\\n as '\n");
    let deployment = lab.deployment(&[described(&text, None)]);
    let driver = lab.native();
    driver.prepare(&deployment).await.unwrap();
    let working = lab.host.state.join("working");
    assert_eq!(
        std::fs::read_dir(&working).unwrap().count(),
        1,
        "written before the timed start"
    );
    let running = driver.start(&deployment).await.unwrap();
    lab.ready(&deployment, &running).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("web"), Exit::Signal(15))]);
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    let written = stopped.sizes[0]
        .1
        .iter()
        .find(|size| size.part == Part::Written)
        .unwrap();
    assert!((10_000..14_000).contains(&written.bytes), "{written:?}");
    assert_eq!(std::fs::read_dir(&working).unwrap().count(), 0);
}

#[tokio::test]
async fn files_of_a_deployment_that_never_starts_are_removed() {
    let lab = Lab::new();
    let deployment = lab.deployment(&[described(&web(""), None)]);
    let driver = lab.native();
    driver.prepare(&deployment).await.unwrap();
    drop(driver);
    assert_eq!(std::fs::read_dir(lab.host.state.join("working")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_program_that_cannot_run_is_named_before_anything_starts() {
    let lab = Lab::new();
    for (program, need) in [
        ("/nowhere/server", "/nowhere/server cannot be used"),
        ("no-such-program", "no-such-program is not installed"),
        ("bin/server", "came in a message"),
    ] {
        let text = format!("[native]\nprogram = '{program}'\n[ready]\nkind = 'started'\n");
        let deployment = lab.deployment(&[described(&text, None)]);
        let error = lab.native().prepare(&deployment).await.unwrap_err().to_string();
        assert!(error.contains(need), "{error}");
    }
    let text = web("user = 'nobody-here'");
    let deployment = lab.deployment(&[described(&text, None)]);
    let error = lab.native().prepare(&deployment).await.unwrap_err().to_string();
    assert!(error.contains("there is no user nobody-here"), "{error}");
    let left = std::fs::read_dir(lab.host.state.join("working")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_service_runs_as_its_user_who_must_reach_its_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    let text = web("user = 'nobody'\n[ready]\nbody = ' as nobody$'\n");
    let deployment = lab.deployment(&[described(&text, None)]);
    let above = lab.host.state.parent().unwrap();
    std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = lab.native().prepare(&deployment).await.unwrap_err().to_string();
    assert!(error.contains("user nobody cannot enter"), "{error}");
    std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o755)).unwrap();
    let running = lab.native().start(&deployment).await.unwrap();
    lab.ready(&deployment, &running).await;
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
}

#[tokio::test]
async fn a_program_of_this_host_can_prove_readiness() {
    let lab = Lab::new();
    let proof = lab.host.state.with_extension("proof");
    let ready = format!(
        "[ready]\nkind = 'command'\nprogram = 'test'\nargs = ['-e', '{}']\n",
        proof.display()
    );
    let deployment = lab.deployment(&[described(&web(&ready), None)]);
    let running = lab.native().start(&deployment).await.unwrap();
    let wait = |patience| ready::wait(&deployment, &lab.host.runner, running.services(), patience);
    let error = wait(Duration::from_millis(100)).await.unwrap_err();
    assert!(error.last.contains("test ended with exit status: 1"), "{error}");
    std::fs::write(&proof, "").unwrap();
    wait(Duration::from_secs(60)).await.unwrap();
    running.stop().await;
}
