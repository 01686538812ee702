//! Services of others, described on the target host or in the experiment.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::free_port;
use testkit::process::Running;

use crate::agree::{agree, json};
use crate::experiment::{Experiment, NATIVE};
use crate::lab::Lab;

/// The descriptions of this repository.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../services")
}

/// A runner with these descriptions, and this `[allow]`.
pub fn runner(lab: &Lab, services: &Path, allow: &str) -> Running {
    lab.runner_with(command(lab, services, allow))
}

fn command(lab: &Lab, services: &Path, allow: &str) -> Command {
    let config = lab.path("runner.toml");
    std::fs::write(&config, format!("[allow]\n{allow}\n")).unwrap();
    let mut command = lab.runner_command();
    command.arg("--services").arg(services).arg("--config").arg(config);
    command
}

/// One block of a workload of kind `service`.
fn experiment(lab: &Lab, workload: &str) -> Experiment {
    Experiment {
        workload: Some(format!("[[workload]]\nkind = \"service\"\n{workload}\n")),
        ..lab.experiment().with_blocks(1)
    }
}

/// A web server in Perl that the experiment describes.
fn perl(port: u16) -> String {
    format!(
        r#"name = "web"
parameters = {{ port = {port}, greeting = "hello" }}
[[workload.file]]
path = "server.pl"
contents = '''
use IO::Socket::INET;
my $l = IO::Socket::INET->new(LocalAddr => "{{listen}}", Listen => 64, ReuseAddr => 1) or die "{{listen}}: $!";
while (my $c = $l->accept) {{
    while (my $line = <$c>) {{ last if $line eq "\r\n" }}
    print $c "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{{greeting}}";
    close $c;
}}
'''
[workload.native]
program = "perl"
args = ["{{dir}}/server.pl"]
[workload.ready]
body = "^hello$"
"#
    )
}

/// The counted attempts' records.
pub fn records(lab: &Lab) -> Vec<serde_json::Value> {
    let run = lab.run_folder();
    let agreed = agree(&run);
    agreed
        .counted()
        .map(|attempt| json(&run.join(&attempt.folder).join("trial.json")))
        .collect()
}

/// No file of a service is left.
#[track_caller]
pub fn assert_no_files(lab: &Lab) {
    let left = std::fs::read_dir(lab.path("state/working"))
        .into_iter()
        .flatten()
        .flatten();
    let left: Vec<_> = left.map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_service_that_the_experiment_describes_is_started_if_its_program_is_allowed() {
    let lab = Lab::new();
    let experiment = experiment(&lab, &perl(free_port()));
    let empty = lab.path("");
    {
        let _runner = runner(&lab, &empty, "");
        let said = lab.run(&experiment, 6);
        for part in ["/perl is not allowed on this host", "add programs = [", "under [allow]"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        lab.assert_no_run();
    }
    let _runner = runner(&lab, &empty, "programs = [\"/usr/bin/*\", \"/bin/*\"]");
    lab.run(&experiment, 0);
    for record in records(&lab) {
        let service = &record["ready"]["services"][0];
        assert_eq!(service["service"], "web");
        assert_eq!(service["sha256"].as_str().unwrap().len(), 64);
        assert!(
            service["program"]["path"].as_str().unwrap().ends_with("/perl"),
            "{service}"
        );
        assert_eq!(record["requests"]["ok"], 100, "{}", record["requests"]);
    }
    assert_no_files(&lab);
}

#[test]
fn what_the_target_host_lacks_is_reported_before_the_first_trial() {
    let lab = Lab::new();
    let _runner = runner(&lab, &shipped(), "");
    for (workload, parts) in [
        (
            "description = \"ngix\"",
            &["there is no description ngix on this host", "did you mean nginx?"][..],
        ),
        (
            "description = \"nginx\"\nparameters = { workrs = 2 }",
            &["parameter workrs = 2", "did you mean workers?"],
        ),
        (
            "description = \"nginx\"\nparameters = { workers = \"2\" }",
            &["it is an integer"],
        ),
        (
            "description = \"redis\"",
            &["speaks \"tcp\", not \"http\"", "write protocol = \"tcp\""],
        ),
    ] {
        let experiment = experiment(&lab, workload);
        let said = lab.run(&experiment, 6);
        for part in parts {
            assert!(said.contains(part), "{part} in {said}");
        }
        let said = lab.controller(&["check", "--ask-host"]).ends_with(0);
        assert!(said.contains("unusable") && said.contains(parts[0]), "{said}");
    }
    lab.assert_no_run();
}

#[test]
#[ignore = "needs nginx"]
fn nginx_is_measured_by_the_name_of_its_description() {
    let lab = Lab::new();
    let _runner = runner(&lab, &shipped(), "");
    let port = free_port();
    let workload = format!("description = \"nginx\"\nparameters = {{ port = {port}, reply_bytes = 5000 }}");
    lab.run(&experiment(&lab, &workload), 0);
    for record in records(&lab) {
        assert_eq!(record["ready"]["services"][0]["description"], "nginx");
        assert_eq!(record["requests"]["ok"], 100);
        // Master and worker.
        assert!(
            record["resources"][0]["rss_max_bytes"].as_u64().unwrap() > 0,
            "{record}"
        );
        let received = record["requests"]["bytes_in"].as_u64();
        assert!(received.is_none_or(|bytes| bytes > 100 * 5000), "{received:?}");
    }
    assert_no_files(&lab);
}

#[test]
#[ignore = "needs Redis"]
fn redis_is_started_and_left_idle() {
    let lab = Lab::new();
    let _runner = runner(&lab, &shipped(), "");
    let workload = format!(
        "description = \"redis\"\nprotocol = \"tcp\"\nparameters = {{ port = {}, max_memory = \"50mb\" }}",
        free_port()
    );
    let idle = Experiment {
        loads: "[[load]]\nkind = \"none\"\nname = \"idle\"\nduration = \"1s\"\n".to_owned(),
        ..experiment(&lab, &workload)
    };
    lab.run(&idle, 0);
    for record in records(&lab) {
        assert!(
            record["ready"]["startup"][0]["first_reply_ns"].as_u64().unwrap() > 0,
            "{record}"
        );
    }
    assert_no_files(&lab);
}

#[test]
#[ignore = "needs nginx and Redis"]
fn an_application_has_a_service_beside_the_platform() {
    let lab = Lab::new();
    let _runner = runner(&lab, &shipped(), "");
    let workload = format!(
        "name = \"shop\"\n[[workload.service]]\ndescription = \"nginx\"\nparameters = {{ port = {} }}\n\
         [[workload.service]]\nname = \"cache\"\ndescription = \"redis\"\nprotocol = \"tcp\"\nbeside = true\nparameters = {{ port = {} }}",
        free_port(),
        free_port()
    );
    lab.run(&experiment(&lab, &workload), 0);
    for record in records(&lab) {
        let services = record["ready"]["services"].as_array().unwrap();
        let names: Vec<_> = services
            .iter()
            .map(|service| service["service"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["cache", "nginx"], "the front one is started last");
        assert_eq!(record["beside"], serde_json::json!(["cache"]));
    }
}

/// The description has neither an image nor a root: both are built of Debian's nginx.
#[track_caller]
fn assert_nginx_on(lab: &Lab, platform: &str) {
    let _runner = runner(lab, &shipped(), "");
    let workload = format!(
        "description = \"nginx\"\nparameters = {{ port = {}, workers = 2 }}",
        free_port()
    );
    let mut experiment = experiment(lab, &workload).with_platforms(&[NATIVE, platform].concat());
    experiment.loads = "[[load]]\nkind = \"users\"\nname = \"few\"\nusers = 4\nrequests = 25\nthink_time = \"20ms\"\ntimeout = \"30s\"\n".into();
    experiment.deadlines += "\nready = \"15m\"\ngrace = \"2m\"";
    lab.run_patiently(&experiment, 0);
    let records = records(lab);
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["requests"]["ok"], 100, "{record}");
        let service = &record["ready"]["services"][0];
        let is_native = record["key"]["trial"]["cell"]["platform"] == "native";
        assert_eq!(service["image"].is_null(), is_native, "{service}");
        assert!(
            service["program"]["path"].as_str().unwrap().ends_with("/nginx"),
            "{service}"
        );
        let memory = record["resources"][0]["rss_max_bytes"].as_u64().unwrap();
        assert!(memory > 1 << 20, "{record}");
    }
    assert_no_files(lab);
}

#[test]
#[ignore = "needs Docker and nginx"]
fn nginx_as_a_process_and_in_a_container() {
    let lab = Lab::new();
    assert_nginx_on(&lab, "[[platform]]\nkind = \"docker\"\n");
    assert_eq!(crate::docker::containers(&lab), Vec::<String>::new());
}

#[test]
#[ignore = "needs QEMU and nginx"]
fn nginx_as_a_process_and_in_a_guest() {
    let lab = Lab::new();
    crate::guest_lab::linux(&lab, "linux", "memory_mib = 256\n");
    assert_nginx_on(&lab, &crate::guest_lab::platform("vm", "linux", "bridge"));
    crate::guest_lab::assert_nothing_left(&lab);
}

#[test]
#[ignore = "needs LXC and nginx"]
fn nginx_as_a_process_and_in_a_system_container() {
    let lab = Lab::new();
    assert_nginx_on(&lab, "[[platform]]\nkind = \"lxc\"\n");
}

/// nginx that fetches its page from another nginx, which is on the platform or beside it.
fn proxy(beside: bool) -> String {
    let (front, back) = (free_port(), free_port());
    format!(
        r#"name = "shop"
[[workload.service]]
name = "web"
parameters = {{ port = {front}, upstream = "{{back}}" }}
[[workload.service.file]]
path = "nginx.conf"
contents = """
user root;
daemon off;
pid {{dir}}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {{dir}}/body;
    proxy_temp_path {{dir}}/proxy;
    fastcgi_temp_path {{dir}}/fastcgi;
    uwsgi_temp_path {{dir}}/uwsgi;
    scgi_temp_path {{dir}}/scgi;
    server {{ listen {{listen}}; location / {{ proxy_pass http://{{upstream}}; }} }}
}}
"""
[workload.service.native]
program = "nginx"
args = ["-p", "{{dir}}", "-c", "{{dir}}/nginx.conf", "-e", "stderr"]
[workload.service.ready]
body = "^A+$"
[[workload.service]]
name = "back"
description = "nginx"
parameters = {{ port = {back}, reply_bytes = 777 }}
beside = {beside}
"#
    )
}

#[track_caller]
fn assert_proxy_on(lab: &Lab, platforms: &str, trials: usize) {
    let _runner = runner(lab, &shipped(), "programs = [\"/usr/sbin/nginx\"]");
    for beside in [false, true] {
        let mut experiment = experiment(lab, &proxy(beside)).with_platforms(platforms);
        experiment.name = if beside { "beside" } else { "together" }.into();
        lab.run(&experiment, 0);
    }
    let mut folders = Vec::new();
    for experiment in ["beside", "together"] {
        let runs = std::fs::read_dir(lab.path("results").join(experiment)).unwrap();
        folders.extend(runs.map(|run| run.unwrap().path()));
    }
    for run in folders {
        let agreed = agree(&run);
        assert_eq!(agreed.counted().count(), trials);
        for attempt in agreed.counted() {
            let record = json(&run.join(&attempt.folder).join("trial.json"));
            assert_eq!(record["requests"]["ok"], 100, "{record}");
        }
    }
    assert_no_files(lab);
}

#[test]
#[ignore = "needs nginx"]
fn a_service_reaches_another_by_its_address() {
    let lab = Lab::new();
    assert_proxy_on(&lab, NATIVE, 1);
}

#[test]
#[ignore = "needs Docker and nginx"]
fn a_service_in_a_container_reaches_others_in_containers_and_beside() {
    let lab = Lab::new();
    assert_proxy_on(&lab, &[NATIVE, "[[platform]]\nkind = \"docker\"\n"].concat(), 2);
    assert_eq!(crate::docker::containers(&lab), Vec::<String>::new());
}
