use proptest::prelude::*;
use protocol::load::{Arrivals, LoadKind, Think, UserRequests};

use super::testing::{GOOD, problems};
use super::*;

fn warnings(text: &str) -> String {
    let checked = parse("x.toml", text, &Overrides::default()).unwrap();
    testing::lines(&checked.warnings)
}

#[test]
fn defaults_of_a_short_file() {
    let experiment = parse("x.toml", GOOD, &Overrides::default()).unwrap().experiment;
    assert_eq!(experiment.iterations, 30);
    assert_eq!(experiment.baseline.as_str(), "native");
    assert_eq!(experiment.kafka.prefix, "jung.");
    let Brokers::Embedded(embedded) = &experiment.kafka.brokers else {
        panic!("embedded is the default");
    };
    assert_eq!(embedded.data, Path::new("results/.broker"));
    let LoadKind::Rate(rate) = &experiment.loads[0].spec.kind else {
        panic!("it says rate");
    };
    assert_eq!(
        (rate.rate_per_s, rate.timing.timeout.as_secs(), rate.keep_alive),
        (10.0, 2, false)
    );
}

#[test]
fn closed_loops() {
    let text = GOOD.replace(
        "kind = \"rate\"\nname",
        "kind = \"max\"\nname = \"m\"\nconnections = 4\nduration = \"5s\"\n[[load]]\nkind = \"users\"\nname = \"u\"\nusers = 3\nrequests = 9\n\
         warm_up_requests = 2\nthink = \"exponential\"\nthink_time = \"5ms\"\nrequest = [{ weight = 2 }, { path = \"/x\", label = \"x\" }]\n\
         [[load]]\nkind = \"rate\"\nname",
    );
    let loads = parse("x.toml", &text, &Overrides::default()).unwrap().experiment.loads;
    let (LoadKind::Max(max), LoadKind::Users(users)) = (&loads[0].spec.kind, &loads[1].spec.kind) else {
        panic!("max, then users: {loads:?}");
    };
    assert_eq!((max.connections, max.keep_alive), (4, true));
    assert_eq!(users.requests, Some(UserRequests { each: 9, warm_up: 2 }));
    assert_eq!(users.think, Think::Exponential(std::time::Duration::from_millis(5)));
    assert!(users.timing.warm_up.is_zero());
    let requests = loads[1].spec.http.requests.iter();
    let mix: Vec<_> = requests
        .map(|r| (r.path.as_str(), r.label.as_str(), r.weight))
        .collect();
    assert_eq!(mix, [("/", "/", 2), ("/x", "x", 1)]);
    assert!(loads[0].spec.http.is_plain());
}

#[test]
fn keys_and_values_that_a_closed_loop_cannot_have() {
    insta::assert_snapshot!(problems(r#"
[experiment]
name = "x"
[[platform]]
kind = "native"
[[workload]]
kind = "tcp"
[[load]]
kind = "users"
name = "a"
users = 0
rate = 5
[[load]]
kind = "users"
name = "b"
users = 2
requests = 3
warm_up = "1s"
warm_up_requests = 3
[[load.request]]
path = "x y"
[[load.request]]
path = "/a"
weights = 2
[[load.request]]
path = "/b"
label = "/a"
[[load]]
kind = "max"
name = "c"
duration = "5s"
users = 2
[[load.request]]
path = "/"
[[load]]
kind = "users"
name = "d"
users = 2
warm_up_requests = 3
"#), @r#"
    x.toml:8: [[load]] "a": duration: this key is missing; write e.g. duration = "10s", or requests = 100
    x.toml:11: [[load]] "a": users = 0: a number of users is 1 to 10000; write e.g. 20
    x.toml:12: [[load]] "a": rate = 5: a load of kind "users" has no such key; remove it; it belongs to kind = "rate" and kind = "httperf"
    x.toml:18: [[load]] "b": warm_up = "1s": a load with `requests` warms up by requests; write warm_up_requests = 5 instead
    x.toml:19: [[load]] "b": warm_up_requests = 3: no request of a user would be measured; write fewer than `requests`
    x.toml:21: [[load.request]] 1: path = "x y": a path begins with / and consists of printable ASCII without spaces; write e.g. "/users?page=1"
    x.toml:24: [[load.request]] 2: weights = 2: unknown key; did you mean weight?
    x.toml:27: [[load.request]] 3: label = "/a": the label "/a" is already taken; give each request a label of its own
    x.toml:28: [[load]] "c": connections: this key is missing; write e.g. connections = 64
    x.toml:32: [[load]] "c": users = 2: a load of kind "max" has no such key; remove it; it belongs to kind = "users" and kind = "jmeter"
    x.toml:35: [[load]] "d": duration: this key is missing; write e.g. duration = "10s", or requests = 100
    x.toml:39: [[load]] "d": warm_up_requests = 3: only a load with `requests` has it; remove it, or write requests = 100
    "#);
}

#[test]
fn jitter_moves_uniform_arrivals_by_no_more_than_their_interval() {
    let rate = |more: &str| testing::experiment(&GOOD.replace("rate = 10\n", &format!("rate = 500\n{more}\n")));
    let arrivals = |more: &str| match &rate(more).unwrap().loads[0].spec.kind {
        LoadKind::Rate(rate) => rate.arrivals,
        kind => panic!("{kind:?}"),
    };
    assert_eq!(arrivals("jitter = '0s'"), Arrivals::Uniform);
    assert_eq!(
        arrivals("jitter = '2ms'"),
        Arrivals::Jittered(std::time::Duration::from_millis(2))
    );
    insta::assert_snapshot!(rate("jitter = '2001us'").unwrap_err() + &rate("jitter = '1ms'\narrivals = 'poisson'").unwrap_err(), @r#"
    x.toml:12: [[load]] "light": jitter = '2001us': a jitter longer than the interval between requests would change their order; write at most 1 / rate, "2000us"
    x.toml:12: [[load]] "light": jitter = '1ms': Poisson arrivals are random already; remove it, or write arrivals = "uniform"
    "#);
}

#[test]
fn an_empty_file_lacks_everything_that_has_no_default() {
    insta::assert_snapshot!(problems(""), @r#"
    x.toml: [[platform]]: at least one is required; add [[platform]] and kind = "native" below it
    x.toml: [[workload]]: at least one is required; add [[workload]] and kind = "tcp" below it
    x.toml: [[load]]: at least one is required; add [[load]] and kind, name, rate and duration below it
    x.toml: [experiment]: name: this key is missing; write e.g. name = "first-look"
    "#);
}

#[test]
fn every_problem_of_a_bad_file_at_once() {
    insta::assert_snapshot!(problems(r#"
iterations = 3
[experiment]
name = "Bad Name"
iterations = 0
seeed = 1
order = "randomised-blocks"
max_attempts = "3"
baseline = "nativ"
[kafka]
brokers = "lab-1:9092"
prefix = "a/b"
partitions = 0
retention = 3600
key_file = "/nonexistent/lab.key"
listen = "127.0.0.1:9092"
[kafka.options]
"bootstrap.servers" = "x:1"
security.protocol = "ssl"
[[platform]]
kind = "dokcer"
[[platform]]
kind = "native"
publish = true
[[platform]]
kind = "native"
optional = "yes"
[[workload]]
kind = "tcp"
port = 70000
[[load]]
kind = "rate"
name = "heavy"
rate = -5
duration = "10"
[[load]]
kind = "rate"
name = "heavy"
rate = nan
duration = "10s"
timeout = "0s"
cpus = "0-"
[[load]]
kind = "rate"
rate = 1e9
[resources]
cpuset = "a"
memory_mib = -1
[sampling]
interval = "1ms"
[deadlines]
ready = 5
"#), @r#"
x.toml:2: iterations = 3: unknown key; it belongs under [experiment]
x.toml:4: [experiment]: name = "Bad Name": invalid name; use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit
x.toml:5: [experiment]: iterations = 0: the number of iterations is 1 to 10000; write e.g. 30
x.toml:6: [experiment]: seeed = 1: unknown key; did you mean seed?
x.toml:7: [experiment]: order = "randomised-blocks": unknown value; did you mean "randomized-blocks"?
x.toml:8: [experiment]: max_attempts = "3": expected an integer; write digits without quotation marks, e.g. 3
x.toml:9: [experiment]: baseline = "nativ": there is no platform of this name; did you mean "native"?
x.toml:12: [kafka]: prefix = "a/b": invalid topic prefix; use at most 200 of a-z, A-Z, 0-9, ., _ and -, e.g. prefix = "lab."
x.toml:13: [kafka]: partitions = 0: the number of partitions is 1 to 1000; write e.g. 1
x.toml:14: [kafka]: retention = 3600: expected a duration; write e.g. "10s", "500ms" or "2m"
x.toml:15: [kafka]: key_file = "/nonexistent/lab.key": this file cannot be read: No such file or directory (os error 2); make one with `openssl rand -hex 32 > lab.key; chmod 600 lab.key`, the same on controller and runners
x.toml:16: [kafka]: listen = "127.0.0.1:9092": this key is for brokers = "embedded"; remove it: the brokers in `brokers` are started elsewhere
x.toml:17: [kafka.options]: bootstrap.servers has a key of its own; remove it and write brokers = "..." in [kafka]
x.toml:21: [[platform]] 1: kind = "dokcer": unknown value; did you mean "docker"?
x.toml:24: [[platform]] 2: publish = true: this key is for kind = "docker"; remove it
x.toml:26: [[platform]] 3: kind = "native": the name native is already taken (line 22); give each its own name, e.g. name = "native-2"
x.toml:27: [[platform]] 3: optional = "yes": expected true or false; write it without quotation marks
x.toml:30: [[workload]] 1: port = 70000: a port is 1 to 65535; write e.g. 8080
x.toml:34: [[load]] "heavy": rate = -5: a rate is above 0 requests a second; write e.g. rate = 500
x.toml:35: [[load]] "heavy": duration = "10": invalid duration; write a number and a unit (ns, us, ms, s, m, h, d), e.g. "500ms", "10s", "2m", "1h30m"
x.toml:38: [[load]] "heavy": name = "heavy": the name heavy is already taken (line 31); give each its own name, e.g. name = "heavy-2"
x.toml:39: [[load]] "heavy": rate = nan: a rate is above 0 requests a second; write e.g. rate = 500
x.toml:41: [[load]] "heavy": timeout = "0s": a time-out is 1ms to 1h; write e.g. "2s"
x.toml:42: [[load]] "heavy": cpus = "0-": invalid list of CPUs; write it as the kernel does, e.g. "0-1,3" (numbers below 4096)
x.toml:43: [[load]] 3: name: this key is missing; write e.g. name = "rate-500"
x.toml:43: [[load]] 3: duration: this key is missing; write e.g. duration = "10s"
x.toml:45: [[load]] 3: rate = 1e9: a rate above 1000000 requests a second cannot be sent; write e.g. rate = 500
x.toml:47: [resources]: cpuset = "a": invalid list of CPUs; write it as the kernel does, e.g. "0-1,3" (numbers below 4096)
x.toml:48: [resources]: memory_mib = -1: a memory limit in MiB is 4 to 16777216; write e.g. 512
x.toml:50: [sampling]: interval = "1ms": a sampling interval is 100ms to 10s; write e.g. "1s"
x.toml:52: [deadlines]: ready = 5: expected a duration; write e.g. "10s", "500ms" or "2m"
"#);
}

#[test]
fn what_is_no_toml_is_said_line_by_line() {
    insta::assert_snapshot!(problems("[experiment]\nname = x\n[kafka\nseed = = 3\n"), @r#"
    x.toml:2: `name = x`: invalid TOML: string values must be quoted, expected literal string; correct the line, then check again
    x.toml:3: `[kafka`: invalid TOML: unclosed table, expected `]`; correct the line, then check again
    x.toml:4: `seed = = 3`: invalid TOML: extra `=`, expected nothing; correct the line, then check again
    "#);
}

#[test]
fn tables_with_the_wrong_brackets() {
    insta::assert_snapshot!(problems("kafka = 3\nload = [1, {}]\n[platform]\nkind = \"native\"\n[[experiment]]\n"), @r#"
    x.toml: [[workload]]: at least one is required; add [[workload]] and kind = "tcp" below it
    x.toml:1: [kafka]: expected a table; write [kafka] on a line of its own and its keys below
    x.toml:2: [[load]] 1: expected a table; write [[load]] and its keys below
    x.toml:2: [[load]] 2: kind: this key is missing; write e.g. kind = "rate"
    x.toml:2: [[load]] 2: name: this key is missing; write e.g. name = "rate-500"
    x.toml:3: [[platform]]: expected an array of tables; write [[platform]] with two brackets on a line of its own and its keys below
    x.toml:5: [experiment]: expected a table; write [experiment] on a line of its own and its keys below
    x.toml:5: [experiment]: name: this key is missing; write e.g. name = "first-look"
    "#);
}

#[test]
fn a_broker_for_everybody_must_say_its_address() {
    let text = format!("{GOOD}\n[kafka]\nlisten = \"0.0.0.0:9092\"\nreplication = 3\n");
    insta::assert_snapshot!(problems(&text), @r#"
    x.toml:15: [kafka]: listen = "0.0.0.0:9092": clients cannot connect to 0.0.0.0; set the address that runners connect to, e.g. advertise = "lab-1:9092"
    x.toml:16: [kafka]: replication = 3: the embedded broker is one node; remove replication, or name the brokers of a cluster
    "#);
}

#[test]
fn shared_cpus_and_short_windows_are_warned_of() {
    let text = GOOD.replace("10s", "1s") + "cpus = \"1-2\"\n[resources]\ncpuset = \"2-3\"\n";
    insta::assert_snapshot!(warnings(&text), @r#"
    x.toml:12: warning: [[load]] "light": duration = "1s": the measurement window holds fewer than two samples of CPU and memory; lengthen it, or shorten [sampling] interval
    x.toml:13: warning: [[load]] "light": cpus = "1-2": the services' cpuset has CPU 2 too, and controller and runner share this machine; give the generator CPUs of its own
    "#);
    let elsewhere = text + "[kafka]\nbrokers = \"lab-1:9092\"\n";
    assert!(
        !warnings(&elsewhere).contains("cpuset"),
        "the runner may be on another machine"
    );
}

#[test]
fn the_command_line_stands_in_front_and_is_checked_too() {
    let overrides = Overrides {
        name: Some("other".into()),
        brokers: Some("lab-1:9092, lab-2:9092".into()),
        iterations: Some(2),
        ..Overrides::default()
    };
    let text = format!("{GOOD}\n[kafka]\nlisten = \"127.0.0.1:9999\"\n");
    let experiment = parse("x.toml", &text, &overrides).unwrap().experiment;
    assert_eq!((experiment.name.as_str(), experiment.iterations), ("other", 2));
    assert_eq!(
        experiment.kafka.brokers,
        Brokers::External("lab-1:9092,lab-2:9092".into())
    );
    let bad = Overrides {
        brokers: Some("nowhere".into()),
        ..Overrides::default()
    };
    let problems = parse("x.toml", GOOD, &bad).unwrap_err();
    insta::assert_snapshot!(problems[0], @r#"option --brokers: [kafka]: brokers = "nowhere": "nowhere" is not host:port; write "embedded", or addresses like "lab-1:9092,lab-2:9092""#);
}

#[test]
fn the_embedded_broker_has_no_tls() {
    let text = format!("{GOOD}\n[kafka.options]\nsecurity.protocol = \"ssl\"\n");
    insta::assert_snapshot!(problems(&text), @r#"x.toml:14: [kafka.options]: the embedded broker supports plaintext only, and security.protocol is not plaintext; remove it and sign commands with key_file, or name the brokers of Apache Kafka"#);
    let cluster = text + "[kafka]\nbrokers = \"lab-1:9092\"\n";
    let kafka = parse("x.toml", &cluster, &Overrides::default())
        .unwrap()
        .experiment
        .kafka;
    assert_eq!(kafka.options["security.protocol"], "ssl");
}

#[test]
fn a_password_among_the_options_is_never_shown() {
    let text = format!("{GOOD}\n[kafka.options]\n\"sasl.password\" = [\"hunter2\"]\n");
    let problems = problems(&text);
    assert!(problems.contains("sasl.password"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

/// Lines that look like the file's own, so that the checks behind the parser are reached too.
fn lines() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = RawExperiment::TABLES
        .iter()
        .flat_map(|(_, keys)| keys.iter().copied())
        .collect();
    let heads: Vec<&str> = RawExperiment::TABLES.iter().map(|(head, _)| *head).collect();
    let values = prop_oneof![
        Just("\"embedded\"".to_owned()),
        Just("\"rate\"".to_owned()),
        Just("\"native\"".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}").replace("NaN", "nan")),
        "\"[a-z0-9:,.-]{0,12}\"",
    ];
    let line = prop_oneof![
        1 => prop::sample::select(heads).prop_map(str::to_owned),
        4 => (prop::sample::select(keys), values).prop_map(|(key, value)| format!("{key} = {value}")),
    ];
    prop::collection::vec(line, 0..30).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse("x.toml", &text, &Overrides::default());
    }

    #[test]
    fn no_file_of_known_keys_makes_it_panic(text in lines()) {
        if let Err(problems) = parse("x.toml", &text, &Overrides::default()) {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error), "refused without a reason");
        }
    }
}

const JUNG: &str = "[experiment]\nname = \"x\"\n[[platform]]\nkind = \"native\"\n[[workload]]\nkind = \"jung\"\n";

#[test]
fn jung_as_in_the_thesis_needs_no_keys() {
    let text = format!("{JUNG}[[load]]\nkind = \"users\"\nname = \"u\"\nusers = 30\nrequests = 500\n");
    let experiment = parse("x.toml", &text, &Overrides::default()).unwrap().experiment;
    let WorkloadKind::Jung(jung) = &experiment.workloads[0].kind else {
        panic!("it says jung");
    };
    assert_eq!(jung.requests_of_a_user(), 500);
    let beside: Vec<_> = jung.beside.iter().map(|service| service.name()).collect();
    assert_eq!(beside, ["api-gateway", "device-gateway"]);
    assert_eq!((jung.concurrency, jung.partitions), (64, 1));
}

#[test]
fn services_of_jung_may_be_beside_the_platform() {
    let keys = "beside = [\"device-gateway\"]\nkafka = \"apache\"\nconcurrency = 1\n";
    let text = format!("{JUNG}{keys}[[load]]\nkind = \"users\"\nname = \"u\"\nusers = 30\nrequests = 500\n");
    let experiment = parse("x.toml", &text, &Overrides::default()).unwrap().experiment;
    let WorkloadKind::Jung(jung) = &experiment.workloads[0].kind else {
        panic!("it says jung");
    };
    let beside: Vec<_> = jung.beside.iter().map(|service| service.name()).collect();
    assert_eq!(beside, ["device-gateway"]);
}

#[test]
fn what_jung_cannot_be() {
    let text = format!(
        "{JUNG}beside = [\"api-gatway\"]\ninstances = {{ api-gateway = 2 }}\nkafka = \"lab-1:9092\"\nport = 8081\nreply_bytes = 5\n\
         [[workload]]\nkind = \"tcp\"\nusers = 3\n[[load]]\nkind = \"users\"\nname = \"u\"\nusers = 3\nrequests = 5\n"
    );
    insta::assert_snapshot!(problems(&text), @r#"
    x.toml:7: [[workload]] 1: beside = ["api-gatway"]: there is no service "api-gatway"; did you mean api-gateway?
    x.toml:8: [[workload]] 1: instances = { api-gateway = 2 }: of api-gateway there is one; write e.g. { auth-manager = 2 }
    x.toml:9: [[workload]] 1: kafka = "lab-1:9092": invalid broker for the services; write "own", "apache", or where one runs that the services reach, e.g. "10.0.0.3:9092"
    x.toml:11: [[workload]] 1: reply_bytes = 5: this key is for kind = "tcp"; remove it
    x.toml:14: [[workload]] 2: users = 3: this key is for kind = "jung"; remove it
    "#);
    let text = format!(
        "{JUNG}users = 3\ninstances = {{ auth-manager = 3 }}\npartitions = 2\nkafka_port = 8080\n\
         [[load]]\nkind = \"users\"\nname = \"u\"\nusers = 4\nrequests = 5\n"
    );
    insta::assert_snapshot!(problems(&text), @r#"
    x.toml:9: [[workload]] 1: partitions = 2: 3 instances of a service cannot share fewer partitions; write partitions = 3, or omit it
    x.toml:10: [[workload]] 1: kafka_port = 8080: a gateway has port 8080 or the next; give the broker others
    "#);
    let text = format!(
        "{JUNG}users = 3\n[[load]]\nkind = \"rate\"\nname = \"r\"\nrate = 4\nduration = \"5s\"\n\
         [[load]]\nkind = \"users\"\nname = \"u\"\nusers = 4\nrequests = 5\n[[load.request]]\npath = \"/\"\n"
    );
    insta::assert_snapshot!(problems(&text), @r#"
    x.toml:9: [[load]] "r": kind = "rate": the requests of workload jung are those of users; write kind = "users"
    x.toml:13: [[load]] "u": workload jung defines what its users ask for; leave the load's requests out; the workload's get_user, get_device, get_readings and post_command say how often
    x.toml:16: [[load]] "u": users = 4: workload jung has 3 users; write no more, or give the workload more
    "#);
}
