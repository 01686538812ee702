use crate::load::Transport;
use crate::spec::{FileContent, Parameter, PlatformKind, Probe, TASK_PORT};

use super::*;

const NGINX: &str = r#"
protocol = "http"
parameters = { port = 8080, workers = 1, policy = "none", quiet = true }

[[file]]
path = "nginx.conf"
contents = """
events {}
http { server { listen {listen}; root {dir}/www; } }
"""

[[file]]
path = "www/index.html"
bytes = "64KiB"

[native]
program = "/usr/sbin/nginx"
args = ["-c", "{dir}/nginx.conf", "-g", "worker_processes {workers};"]
env = { LC_ALL = "C" }
user = "www-data"

[ready]
path = "/index.html"
body = '^A+$'
interval = "5ms"
timeout = "10s"
"#;

fn problems(text: &str) -> String {
    let problems = parse("service.toml", text).unwrap_err();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn a_whole_description_is_read() {
    let description = parse("service.toml", NGINX).unwrap();
    insta::assert_json_snapshot!(description);
    assert_eq!(description.missing_form(PlatformKind::Native), None);
    assert!(description.missing_form(PlatformKind::Includeos).is_some());
    let json = serde_json::to_string(&description).unwrap();
    assert_eq!(serde_json::from_str::<ServiceDescription>(&json).unwrap(), description);
}

#[test]
fn the_default_probe_follows_from_the_protocol() {
    let of = |text: &str| parse("x", &format!("{text}\n[native]\nprogram = 'x'\n")).map(|it| it.ready.probe);
    assert!(matches!(of("parameters = { port = 1 }"), Ok(Probe::Http(http)) if http.path == "/" && http.status == 200));
    assert!(matches!(
        of("protocol = 'tcp'\nparameters = { port = 1 }"),
        Ok(Probe::Connects(_))
    ));
    for text in ["protocol = 'udp'\nparameters = { port = 1 }", "protocol = 'tcp'"] {
        let fault = of(text).unwrap_err()[0].to_string();
        assert!(fault.contains("[ready]: kind: this key is missing"), "{fault}");
    }
}

#[test]
fn every_problem_is_reported_with_its_line() {
    insta::assert_snapshot!(problems(
        r#"protocol = "htp"
parameters = { port = 0 }
[[file]]
path = "../../etc/cron.d/x"
contents = "x"
[[file]]
path = "a"
bytes = 1
from = "b"
[[file]]
path = "b"
contents = "x"
fill = "random"
[native]
program = "../sh"
args = [1]
env = { "A B" = "c" }
user = "Root"
"#
    ));
    insta::assert_snapshot!(problems(
        r#"parameters = { port = 8080, page = "x; load_module /evil.so" }
[native]
program = "nginx"
"#
    ));
    insta::assert_snapshot!(problems(
        r#"parameters = { port = 8080, workers = 1, Bad = 2 }
"#
    ));
    insta::assert_snapshot!(problems(
        r#"parameters = { workers = 1 }
prot = 1
[native]
program = "x"
args = ["{wokers}", "{listen}", "{{listen}}", "{dir}"]
[ready]
kind = "http"
packet = "x"
body = "("
path = "health"
status = 20
"#
    ));
}

#[test]
fn parameters_are_set_by_kind_and_cannot_inject() {
    let description = parse("service.toml", NGINX).unwrap();
    let set = |name: &str, value| {
        let values = description.values(&[(name.parse().unwrap(), value)].into())?;
        Ok::<_, Vec<String>>(values.get(name).unwrap().to_owned())
    };
    let text = |text: &str| Parameter::Text(text.into());
    assert_eq!(set("workers", Parameter::Integer(4)).unwrap(), "4");
    assert_eq!(set("policy", text("allkeys-lru")).unwrap(), "allkeys-lru");
    for (name, value, fault) in [
        ("workrs", Parameter::Integer(4), "did you mean workers?"),
        ("zzz", Parameter::Integer(4), "there are policy, port, quiet, workers"),
        ("workers", text("4"), "it is an integer"),
        ("quiet", Parameter::Integer(1), "it is true or false"),
        ("policy", text("a; b"), "changes nothing else"),
        ("policy", text("../x"), "changes nothing else"),
        ("port", Parameter::Integer(70_000), "a port is 1 to 65535"),
        ("port", Parameter::Integer(0), "a port is 1 to 65535"),
    ] {
        let faults = set(name, value).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains(fault), "{name}: {faults:?}");
    }
}

#[test]
fn a_task_listens_for_orders_and_needs_no_probe() {
    let text = "parameters = { size = 10 }\n[native]\nprogram = 'sort'\nargs = ['{size}']\n[task]\nexit_code = 3\noutput = 'sorted {size}'\n";
    let description = parse("x", text).unwrap();
    assert_eq!(description.protocol, Transport::Task);
    let values = description.values(&[].into()).unwrap();
    assert_eq!(ServiceDescription::port_of(&values), Ok(Some(TASK_PORT)));
    let task = description.task.as_ref().unwrap();
    assert_eq!(
        (task.exit_code, task.output.as_ref().unwrap().as_str()),
        (3, "sorted {size}")
    );
    assert!(
        description
            .missing_form(PlatformKind::Osv)
            .unwrap()
            .contains("no second program")
    );
    assert_eq!(description.missing_form(PlatformKind::LinuxVm), None);
    insta::assert_snapshot!(problems(
        "protocol = 'tcp'\n[native]\nprogram = 'x'\n[task]\nexit_code = 300\noutput = '{size}'\n[ready]\nkind = 'tcp'\n"
    ));
}

#[test]
fn placeholders_of_a_message_are_checked_too() {
    let mut description = parse("service.toml", NGINX).unwrap();
    assert_eq!(description.unknown_placeholders(), []);
    description.files[0].content = FileContent::Text("{nothing}".parse().unwrap());
    let unknown = description.unknown_placeholders();
    assert_eq!((unknown.len(), unknown[0].0.as_str()), (1, "file nginx.conf"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse("x", &text);
    }
}
