use std::path::Path;
use std::time::Duration;

use super::*;
use crate::services::allow::Allow;

fn load(toml: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Config, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runner.toml");
    std::fs::write(&file, toml).unwrap();
    let environment = environment
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Config::load(Some(&file), environment, &flags)
}

fn problems(toml: &str) -> String {
    let problems = load(toml, &[], Flags::default()).unwrap_err();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn an_empty_file_is_a_valid_configuration() {
    let config = load("", &[], Flags::default()).unwrap();
    assert_eq!(config.bus.brokers, "127.0.0.1:9092");
    assert_eq!(config.address, defaults::ADDRESS);
    assert_eq!(config.log, "info");
    assert_eq!(config.sampler, crate::sampler::Priority::Normal);
}

#[test]
fn the_example_file_is_valid_as_it_is_and_with_every_line_uncommented() {
    let example = include_str!("../../runner.example.toml");
    load(example, &[], Flags::default()).unwrap();
    let is_setting = |line: &str| {
        let rest = line.strip_prefix("# ").unwrap_or_default();
        ["[allow]", "[kafka]"].contains(&rest) || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let settings: Vec<&str> = example
        .lines()
        .filter(|line| is_setting(line))
        .map(|line| &line[2..])
        .collect();
    let keys = RawKeys::KEYS.iter().chain(RawAllow::KEYS).copied();
    for key in keys.chain(["allow", "kafka"]) {
        assert!(
            settings
                .iter()
                .any(|line| line.starts_with(key) || *line == format!("[{key}]")),
            "{key}"
        );
    }
    // The files that the example names do not exist.
    let without_files: Vec<&str> = settings
        .into_iter()
        .filter(|line| {
            let files = [
                "key_file",
                "workload",
                "broker =",
                "apache_kafka",
                "services =",
                "\"ssl.ca.location",
            ];
            !files.iter().any(|key| line.starts_with(key))
        })
        .collect();
    let config = load(&without_files.join("\n"), &[], Flags::default()).unwrap();
    assert_eq!(config.bus.options["security.protocol"], "SSL");
    assert_eq!(config.bus.retention, Duration::from_secs(24 * 3600));
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let file = "name = \"file\"\nprefix = \"file.\"\nbrokers = \"file:1\"\npartitions = 2";
    let environment = [
        ("JUNG_RUNNER__NAME", "env"),
        ("JUNG_RUNNER__PREFIX", "env."),
        ("JUNG_RUNNER__PARTITIONS", "3"),
        ("JUNG_RUNNER", "a mark"),
        ("JUNG_OTHER__NAME", "x"),
    ];
    let flags = Flags([("name", "flag".to_owned())].into());
    let config = load(file, &environment, flags).unwrap();
    assert_eq!(config.name.as_str(), "flag");
    assert_eq!((config.bus.prefix.as_str(), config.bus.partitions), ("env.", 3));
    assert_eq!(config.bus.brokers, "file:1");
}

#[test]
fn all_problems_are_reported_at_once_with_location_and_remedy() {
    let text = problems(
        "name = \"A\"\naddress = \"here\"\nbrokers = \"embedded\"\nprefix = \"a b\"\npartitions = 0\nreplication = \"x\"\n\
         retention = \"1w\"\nkafka = 3\nkey_file = \"/nowhere/key\"\nstate = \"\"\nworkload = \"/nowhere/workload\"\n\
         broker = \"/nowhere/broker\"\napache_kafka = \"/nowhere/kafka.sh\"\ncpus = \"x\"\nsampler = \"fast\"\nlog = \"info,=\"\nservices = \"/nowhere/services\"\n",
    );
    assert_eq!(text.lines().count(), RawKeys::KEYS.len() + 1, "{text}");
    for (line, key) in text.lines().zip(["name", "address"]) {
        assert!(line.contains("runner.toml:") && line.contains(key), "{line}");
    }
    assert!(
        text.contains("partitions = 0: the number of partitions is 1 to 1000; write e.g. 1"),
        "{text}"
    );
    assert!(text.contains("it uses the controller's"), "{text}");
}

#[test]
fn what_messages_may_start_is_checked() {
    let config = load("", &[], Flags::default()).unwrap();
    assert_eq!(config.allow, Allow::default());
    let file = "brokers = \"lab:9092\"\n[allow]\nprograms = [\"/usr/sbin/nginx\"]\n";
    let text = problems(file);
    assert!(
        text.contains("[allow]: programs") && text.contains("set key_file"),
        "{text}"
    );
    load(&file.replace("lab:9092", "127.0.0.1:9092"), &[], Flags::default()).unwrap();
    let text = problems("[allow]\nprograms = [\"nginx\"]\nmemory_mib = 1\ncpus = \"x\"\ndata_mib = -1\nimage = 1\n");
    for part in [
        "\"nginx\" is not an absolute path",
        "memory_mib = 1",
        "cpus",
        "data_mib = -1",
        "image = 1: unknown key",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn unknown_keys_and_broken_files_are_rejected() {
    let text = problems("nmae = \"x\"\nbrokerz = 1\nretention = 3\n");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("runner.toml:1: nmae = \"x\": unknown key; did you mean name?"),
        "{text}"
    );
    assert!(problems("name = ").contains("invalid TOML"));
    let missing = Config::load(Some(Path::new("/nowhere.toml")), [], &Flags::default()).unwrap_err();
    assert!(
        missing[0].to_string().starts_with("/nowhere.toml: cannot be read"),
        "{}",
        missing[0]
    );
}

#[test]
fn a_problem_names_the_variable_or_flag_that_it_comes_from() {
    let error = load(
        "name = \"x\"",
        &[("JUNG_RUNNER__ADDRESS", "a")],
        Flags([("name", "B".to_owned())].into()),
    );
    let error = error.unwrap_err();
    let places: Vec<&str> = error.iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(places, ["option --name", "variable JUNG_RUNNER__ADDRESS"]);
    assert_eq!(
        error[1].to_string(),
        "variable JUNG_RUNNER__ADDRESS: address = \"a\": invalid IP address; write it like 192.0.2.7"
    );
    let unknown = load("", &[("JUNG_RUNNER__NMAE", "a")], Flags::default()).unwrap_err();
    assert_eq!(unknown[0].file, "variable JUNG_RUNNER__NMAE");
}

#[test]
fn options_of_librdkafka_keep_their_dots() {
    let config = load(
        "[kafka]\n\"sasl.username\" = \"me\"\n\"linger.ms\" = 1\n",
        &[],
        Flags::default(),
    )
    .unwrap();
    assert_eq!(config.bus.options["sasl.username"], "me");
    assert_eq!(config.bus.options["linger.ms"], "1");
    let nested = load(
        "[kafka]\nsasl.username = \"me\"\n",
        &[("JUNG_RUNNER__KAFKA__LINGER__MS", "2")],
        Flags::default(),
    );
    let options = nested.unwrap().bus.options;
    assert_eq!((&options["sasl.username"][..], &options["linger.ms"][..]), ("me", "2"));
}

#[test]
fn a_key_file_is_read() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "0123456789abcdef").unwrap();
    let line = format!("key_file = \"{}\"", key.path().display());
    assert!(load(&line, &[], Flags::default()).unwrap().bus.key.is_some());
    std::fs::write(key.path(), "short").unwrap();
    assert!(problems(&line).contains("openssl rand"));
}

#[test]
fn unreadable_and_empty_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    for key in ["key_file", "workload", "broker", "apache_kafka"] {
        let text = problems(&format!("{key} = \"/none/x\""));
        assert!(text.contains("this file cannot be read: No such file"), "{text}");
        let text = problems(&format!("{key} = {empty:?}"));
        assert!(text.contains("this file is empty"), "{text}");
    }
    let text = problems("[kafka]\n\"ssl.ca.location\" = \"/none/ca.pem\"");
    assert!(
        text.contains("ssl.ca.location = \"/none/ca.pem\": this file cannot be read"),
        "{text}"
    );
}

#[test]
fn values_are_written_as_in_experiment_files_and_as_before() {
    let config = load(
        "name = 7\nretention = \"1h30m\"\npartitions = \"2\"\nbrokers = [\"a:1\", \"b:2\"]\ncpus = [0, \"2-3\"]\n",
        &[("JUNG_RUNNER__REPLICATION", "3")],
        Flags::default(),
    )
    .unwrap();
    assert_eq!((config.name.as_str(), &config.bus.brokers[..]), ("7", "a:1,b:2"));
    assert_eq!(config.bus.retention, Duration::from_secs(5400));
    assert_eq!((config.bus.partitions, config.bus.replication), (2, 3));
    assert_eq!(config.cpus.unwrap().cpus(), [0, 2, 3]);
    assert_eq!(
        load("cpus = 3", &[], Flags::default()).unwrap().cpus.unwrap().cpus(),
        [3]
    );
}
