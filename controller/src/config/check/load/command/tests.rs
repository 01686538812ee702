//! Loads of kind `command`: what is read, and every mistake with its line and remedy.

use std::time::Duration;

use protocol::load::{Better, CommandLoad, Extract, LoadKind, OutputPart, Transport};

use crate::config::testing::{lines, problems};
use crate::config::{Checked, Overrides, parse};

const HEAD: &str = "[experiment]\nname = \"x\"\n[[platform]]\nkind = \"native\"\n[[workload]]\nkind = \"tcp\"\n[[load]]\nkind = \"command\"\nname = \"c\"\n";

fn checked(load: &str) -> Checked {
    let text = format!("{HEAD}{load}");
    parse("x.toml", &text, &Overrides::default()).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn command(load: &str) -> CommandLoad {
    let LoadKind::Command(command) = checked(load).experiment.loads.remove(0).spec.kind else {
        panic!("it says command");
    };
    *command
}

/// The problems of a load, whose first line is line 10 of the file.
fn refused(load: &str) -> String {
    problems(&format!("{HEAD}{load}"))
}

#[test]
fn a_program_of_ones_own() {
    let load = command(
        r#"
program = "./load.sh"
arguments = ["--for", "{duration_ms}", "a, b"]
environment = { MODE = "{seed}" }
version = ["--version"]
exit_code = 3
duration = "1500ms"
warm_up = "0s"
[[load.figure]]
name = "p99"
unit = "ms"
given_in = "s"
better = "lower"
from = "out.csv"
column = "p99"
rows = { test = "GET" }
delimiter = ";"
take = "max"
[[load.figure]]
name = "requests"
unit = "requests"
better = "neither"
regex = '(\d+) requests'
counts = "requests"
otherwise = 0
[[load.file]]
name = "targets"
text = "GET http://{address}/"
"#,
    );
    assert_eq!(load.arguments, ["--for", "{duration_ms}", "a, b"]);
    assert_eq!(
        (load.exit_code, load.transport, load.time_limit),
        (3, None, Duration::from_millis(31_500))
    );
    let [p99, requests] = &load.figures[..] else {
        panic!("two figures")
    };
    assert_eq!(
        (p99.from.clone(), p99.better, p99.compare),
        (OutputPart::File("out.csv".into()), Better::Lower, true)
    );
    let Extract::Csv(csv) = &p99.at else { panic!("a column") };
    assert_eq!(
        (csv.column.as_str(), csv.delimiter, csv.rows["test"].as_str()),
        ("p99", ';', "GET")
    );
    assert!(!requests.compare && requests.otherwise == Some(0.0));
}

#[test]
fn a_preset_with_parameters() {
    let load = command(
        "preset = \"wrk\"\nprogram = \"/opt/wrk\"\nparameters = { connections = 8, path = \"/x?a={host}\" }\nduration = \"5s\"\ntimeout = \"3s\"\n",
    );
    assert_eq!(
        (load.preset.as_deref(), load.program.as_str(), load.title()),
        (Some("wrk"), "/opt/wrk", "wrk")
    );
    assert_eq!(
        (
            load.parameters["connections"].as_str(),
            load.parameters["threads"].as_str()
        ),
        ("8", "1")
    );
    assert_eq!((load.timing.warm_up.as_secs(), load.timing.timeout.as_secs()), (2, 3));
    assert_eq!((load.transport, load.time_limit.as_secs()), (Some(Transport::Http), 35));
    assert!(load.figures.iter().any(|figure| figure.name.as_str() == "latency-p99"));
}

#[test]
fn a_program_that_ends_by_itself_is_told_no_duration() {
    let load = command("preset = \"redis-benchmark\"\nparameters = { requests = 1000 }\n");
    assert!(load.timing.duration.is_zero() && load.timing.warm_up.is_zero());
    assert_eq!(load.time_limit, Duration::from_secs(300));
    let load = command("program = \"x\"\narguments = []\n");
    assert_eq!(load.time_limit, Duration::from_secs(600));
    insta::assert_snapshot!(refused("program = \"x\"\narguments = [\"{port}\"]\nduration = \"5s\"\nwarm_up = \"1s\"\ntimeout = \"1s\"\n"), @r#"
    x.toml:8: warning: [[load]] "c": kind = "command": nothing of the program's output becomes a figure; add [[load.figure]] or jtl, or ignore this
    x.toml:12: [[load]] "c": duration = "5s": the program is not told {duration}: it ends by itself; remove it, or write time_limit = "10m"
    x.toml:13: [[load]] "c": warm_up = "1s": the program is told neither {duration} nor {warm_up}: it cannot be run for a warm-up; remove it
    x.toml:14: [[load]] "c": timeout = "1s": the program is not told {timeout}; remove it
    "#);
}

#[test]
fn every_mistake_in_a_program_is_reported_with_its_line() {
    insta::assert_snapshot!(refused(r#"program = ""
arguments = "-c 4"
environment = { "A B" = "x" }
exit_code = 256
jtl = "../out.jtl"
protocol = "smtp"
rate = 5
parameters = { size = 3 }
duration = "5s"
[[load.file]]
name = "/etc/passwd"
text = "x"
[[load.file]]
name = "both"
text = "x"
path = "y"
[[load.file]]
name = "missing"
path = "/nonexistent/file"
"#), @r#"
    x.toml:10: [[load]] "c": program = "": a program is a text of one line; write it without line breaks
    x.toml:11: [[load]] "c": arguments = "-c 4": expected a list of strings; write e.g. ["one", "two"]
    x.toml:12: [[load]] "c": environment = { "A B" = "x" }: "A B" is not a valid environment variable; write e.g. { MODE = "fast" }
    x.toml:13: [[load]] "c": exit_code = 256: an exit code is 0 to 255; write e.g. 0
    x.toml:14: [[load]] "c": jtl = "../out.jtl": a file of the working directory has a name of letters, digits, ., _ and -; write e.g. "script.lua", without a folder
    x.toml:15: [[load]] "c": protocol = "smtp": unknown value; write "http" or "udp" or "tcp" or "any"
    x.toml:16: [[load]] "c": rate = 5: a load of kind "command" has no such key; remove it; it belongs to kind = "rate" and kind = "httperf"
    x.toml:17: [[load]] "c": parameters = { size = 3 }: only a preset declares parameters; write the values into the arguments
    x.toml:20: [[load.file]] "/etc/passwd": name = "/etc/passwd": a file of the working directory has a name of letters, digits, ., _ and -; write e.g. "script.lua", without a folder
    x.toml:22: [[load.file]] "both": a file is either a text or a copy; write text = "..." or path = "..."
    x.toml:28: [[load.file]] "missing": path = "/nonexistent/file": this file cannot be read: No such file or directory (os error 2); write the path of a file; a relative one begins where the controller is started
    "#);
}

#[test]
fn every_mistake_in_a_figure_is_reported_with_its_line() {
    insta::assert_snapshot!(refused(r#"program = "x"
arguments = ["{duration}"]
duration = "5s"
[[load.figure]]
name = "Throughput"
unit = ""
better = "more"
[[load.figure]]
name = "two"
unit = "ms"
better = "lower"
json = "/a"
regex = "(a)"
[[load.figure]]
name = "pointer"
unit = "ms"
better = "lower"
json = "summary.p99"
given_in = "MiB"
rows = { a = "b" }
[[load.figure]]
name = "regex"
unit = "ms"
better = "lower"
regex = "p99: [0-9]+"
otherwise = 0
optional = true
take = "median"
[[load.figure]]
name = "csv"
unit = "ms"
better = "lower"
column = "p99"
delimiter = "tab"
thousands = "5"
from = "a/b"
counts = "replies"
"#), @r#"
    x.toml:13: [[load.figure]] "Throughput": it is not said where the figure stands in the output; write one of json = "/pointer", regex = '(\d+) requests' and column = "name"
    x.toml:14: [[load.figure]] "Throughput": name = "Throughput": invalid name; use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit
    x.toml:15: [[load.figure]] "Throughput": unit = "": a unit has 1 to 32 characters; write e.g. "req/s", "ms" or "1"
    x.toml:16: [[load.figure]] "Throughput": better = "more": unknown value; write "higher" or "lower" or "neither"
    x.toml:17: [[load.figure]] "two": a figure is found in one way; write one of json = "/pointer", regex = '(\d+) requests' and column = "name"
    x.toml:27: [[load.figure]] "pointer": json = "summary.p99": a JSON pointer (RFC 6901) begins with /; write e.g. "/summary/p99"
    x.toml:28: [[load.figure]] "pointer": given_in = "MiB": this unit cannot be converted to "ms"; known are ns us ms s min h, B kB MB GB KiB MiB GiB, bit kbit Mbit Gbit, each also with /s, and 1 %
    x.toml:29: [[load.figure]] "pointer": rows = { a = "b" }: only a figure with `column` has this key; remove it
    x.toml:34: [[load.figure]] "regex": regex = "p99: [0-9]+": it has no group in parentheses around the number; see docs.rs/regex for the syntax, e.g. regex = 'p99: (\S+) ms'
    x.toml:36: [[load.figure]] "regex": optional = true: with a value for its absence the figure is never absent; remove it or `otherwise`
    x.toml:37: [[load.figure]] "regex": take = "median": unknown value; did you mean "mean"?
    x.toml:43: [[load.figure]] "csv": delimiter = "tab": a delimiter is one character, not a letter or digit; write e.g. ","
    x.toml:44: [[load.figure]] "csv": thousands = "5": a separator is one character, not a letter or digit; write e.g. ","
    x.toml:45: [[load.figure]] "csv": from = "a/b": a file of the working directory has a name of letters, digits, ., _ and -; write e.g. "script.lua", without a folder
    x.toml:46: [[load.figure]] "csv": counts = "replies": unknown value; write "requests" or "successes" or "failures"
    "#);
}

#[test]
fn unknown_placeholders_presets_and_parameters_are_reported() {
    insta::assert_snapshot!(refused("program = \"x\"\narguments = [\"--url\", \"http://{adress}/\"]\n"), @r#"x.toml:11: [[load]] "c": arguments = ["--url", "http://{adress}/"]: there is no placeholder {adress}; did you mean {address}? For the text itself, write {{adress}}"#);
    insta::assert_snapshot!(refused("preset = \"work\"\nduration = \"5s\"\n"), @r#"x.toml:10: [[load]] "c": preset = "work": there is no preset of this name; did you mean "wrk"?"#);
    insta::assert_snapshot!(refused("preset = \"gatling\"\nduration = \"5s\"\n"), @r#"x.toml:10: [[load]] "c": preset = "gatling": there is no preset of this name; write one of ab, dnsperf, hey, iperf3, k6, kafka-producer-perf-test, memtier-benchmark, oha, redis-benchmark, sysbench, vegeta, wrk, or the path of a file such as "./mine.toml""#);
    insta::assert_snapshot!(refused("preset = \"wrk\"\nduration = \"5s\"\nparameters = { conections = 4 }\n"), @r#"x.toml:12: [[load]] "c": parameters = { conections = 4 }: the preset has no parameter conections; did you mean connections?"#);
    insta::assert_snapshot!(refused("preset = \"wrk\"\nduration = \"5s\"\nparameters = { connections = \"64; reboot\" }\n"), @r#"x.toml:12: [[load]] "c": parameters = { connections = "64; reboot" }: connections takes a whole number, e.g. 64; correct connections = "64; reboot""#);
    insta::assert_snapshot!(refused("preset = \"vegeta\"\nduration = \"5s\"\n"), @r#"x.toml:7: [[load]] "c": parameters: the preset's parameter rate has no default; write e.g. parameters = { rate = ... }"#);
    insta::assert_snapshot!(refused("preset = \"/nonexistent/mine.toml\"\nduration = \"5s\"\n"), @r#"/nonexistent/mine.toml: cannot be read: No such file or directory (os error 2); write the path of the preset; a relative one begins where the controller is started"#);
}

#[test]
fn a_preset_decides_what_it_describes() {
    insta::assert_snapshot!(refused(r#"preset = "wrk"
arguments = ["-c", "4"]
jtl = "x"
duration = "2500ms"
time_limit = "1s"
[[load.figure]]
name = "x"
"#), @r#"
    x.toml:11: [[load]] "c": arguments = ["-c", "4"]: the preset decides this; remove it, or name a preset file of your own: preset = "./mine.toml"
    x.toml:12: [[load]] "c": jtl = "x": the preset decides this; remove it, or name a preset file of your own: preset = "./mine.toml"
    x.toml:13: [[load]] "c": duration = "2500ms": the program takes whole seconds only; write e.g. "3s"
    x.toml:14: [[load]] "c": time_limit = "1s": the program is told to run longer; raise it, or omit it
    x.toml:15: [[load.figure]] "x": the preset decides this; remove it, or name a preset file of your own: preset = "./mine.toml"
    "#);
}

#[test]
fn mistakes_in_a_preset_file_are_reported_with_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let preset = r#"
program = "mytool"
arguments = ["{duration}", "{conections}"]
colour = "blue"
[[parameter]]
name = "connections"
default = "many"
kind = "integer"
[[parameter]]
name = "seed"
[[figure]]
name = "p99"
unit = "ms"
better = "lower"
"#;
    std::fs::write(&path, preset).unwrap();
    let refused = |extra: &str| {
        let text = refused(&format!("preset = \"{}\"\nduration = \"5s\"\n{extra}", path.display()));
        text.replace(folder.path().to_str().unwrap(), "DIR")
    };
    insta::assert_snapshot!(refused(""), @r#"
    DIR/mine.toml:4: colour = "blue": unknown key; known here: parameter, about, figure, file, program, arguments, environment, version, exit_code, jtl, needs, install, protocol, time_limit
    DIR/mine.toml:7: [[parameter]] "connections": default = "many": the parameter takes a whole number, e.g. 64; correct the default
    DIR/mine.toml:10: [[parameter]] "seed": name = "seed": every program has this placeholder; give the parameter another name
    "#);
    std::fs::write(&path, "program = mytool\n").unwrap();
    insta::assert_snapshot!(refused(""), @r#"DIR/mine.toml:1: `program = mytool`: invalid TOML: string values must be quoted, expected literal string; correct the line, then check again"#);
    let good = preset
        .replace("{conections}", "{connections}")
        .replace("colour = \"blue\"\n", "")
        .replace("many", "4")
        .replace("[[parameter]]\nname = \"seed\"\n", "")
        .replace("better = \"lower\"", "better = \"lower\"\njson = \"/p99\"");
    std::fs::write(&path, good).unwrap();
    let load = command(&format!("preset = \"{}\"\nduration = \"5s\"\n", path.display()));
    assert_eq!((load.title(), load.parameters["connections"].as_str()), ("mine", "4"));
}

#[test]
fn keys_of_a_program_belong_to_no_other_load() {
    let text = HEAD.replace("command", "rate")
        + "rate = 5\nduration = \"5s\"\npreset = \"wrk\"\n[[load.figure]]\nname = \"x\"\n";
    insta::assert_snapshot!(problems(&text), @r#"
    x.toml:12: [[load]] "c": preset = "wrk": a load of kind "rate" has no such key; remove it; it belongs to kind = "command"
    x.toml:13: [[load.figure]] "x": only a program has figures and files; remove it, or write kind = "command"
    "#);
}

#[test]
fn programs_that_cannot_be_run_here_are_problems_of_this_machine() {
    let found = |load: &str| lines(&checked(load).on_this_machine);
    assert_eq!(found("program = \"sh\"\narguments = []\nneeds = [\"cat\"]\n"), "");
    insta::assert_snapshot!(found("program = \"no-such-program\"\narguments = []\ninstall = \"apt-get install it\"\nneeds = [\"cat\", \"no-such-helper\"]\n"), @r#"
    x.toml:10: [[load]] "c": program = "no-such-program": no-such-program is not installed on this machine (searched in PATH); apt-get install it
    x.toml:10: [[load]] "c": program = "no-such-program": no-such-helper is not installed on this machine (searched in PATH); apt-get install it
    "#);
    insta::assert_snapshot!(found("preset = \"wrk\"\nprogram = \"/nonexistent/wrk\"\nduration = \"5s\"\n"), @r#"x.toml:11: [[load]] "c": program = "/nonexistent/wrk": /nonexistent/wrk is not a file on this machine; write the path of a program; a relative one begins where the controller is started"#);
}

#[test]
fn a_file_that_is_too_large_to_copy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let load = format!(
        "program = \"x\"\narguments = []\n[[load.file]]\nname = \"large\"\npath = \"{}\"\n",
        path.display()
    );
    let text = refused(&load).replace(folder.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(text, @r#"x.toml:14: [[load.file]] "large": path = "DIR/large": this file has 1073741824 bytes; at most 67108864 are copied for each trial; name it by its absolute path in the arguments instead"#);
}

#[test]
fn nothing_measured_is_warned_of() {
    let warnings = lines(&checked("program = \"x\"\narguments = []\n").warnings);
    assert!(
        warnings.contains("nothing of the program's output becomes a figure"),
        "{warnings}"
    );
}

#[test]
fn a_program_cannot_be_split_over_loaders() {
    let text = refused("preset = \"wrk\"\nduration = \"5s\"\n[generator]\nloaders = [\"a\"]\n");
    assert!(
        text.contains("a load of this kind cannot be split over loaders"),
        "{text}"
    );
}
