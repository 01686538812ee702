//! Programs that do everything that a load program may do wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use protocol::load::{Better, Extract, Timing, WorkingFile};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A shell script as the load program, told a duration of 1 s.
fn shell(script: &str) -> CommandLoad {
    CommandLoad {
        preset: None,
        program: "sh".to_owned(),
        install: String::new(),
        needs: vec![],
        arguments: vec!["-c".to_owned(), script.to_owned()],
        parameters: BTreeMap::new(),
        environment: BTreeMap::new(),
        files: vec![],
        version: vec![],
        exit_code: 0,
        time_limit: 60 * SECOND,
        timing: Timing {
            warm_up: Duration::ZERO,
            duration: SECOND,
            timeout: 2 * SECOND,
        },
        transport: None,
        figures: vec![],
        jtl: None,
        cpus: vec![],
    }
}

fn figure(name: &str, pattern: &str) -> FigureSpec {
    FigureSpec {
        name: name.parse().unwrap(),
        unit: "ms".to_owned(),
        better: Better::Lower,
        from: OutputPart::Stdout,
        at: Extract::Regex(pattern.to_owned()),
        take: None,
        given_in: None,
        thousands: None,
        otherwise: None,
        optional: false,
        compare: true,
        counts: None,
    }
}

fn run(load: CommandLoad) -> Outcome {
    run_with(load, &Control::new()).unwrap()
}

fn run_with(load: CommandLoad, control: &Control) -> Result<Outcome, LoadError> {
    Command::new(load, "[::1]:8080".parse().unwrap(), 7).run(control)
}

fn external(outcome: &Outcome) -> &External {
    outcome.external.as_ref().unwrap()
}

fn output(outcome: &Outcome, name: &str) -> String {
    let outputs = &external(outcome).outputs;
    outputs
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, text)| text.clone())
        .unwrap_or_default()
}

#[test]
fn placeholders_are_filled_in_arguments_files_and_environment() {
    let mut load = shell("echo $0 $1; cat targets; echo $MODE $LC_ALL");
    load.arguments.extend([
        "{host}|{port}|{address}|{seed}".to_owned(),
        "{duration_ms} {timeout_s} {size} {{size}}".to_owned(),
    ]);
    load.parameters = BTreeMap::from([("size".to_owned(), "{host}; rm -rf /".to_owned())]);
    load.environment = BTreeMap::from([("MODE".to_owned(), "{duration}s".to_owned())]);
    load.files = vec![WorkingFile {
        name: "targets".to_owned(),
        text: Some("GET http://{address}/\n".to_owned()),
        path: None,
        sha256: None,
    }];
    let outcome = run(load);
    assert_eq!(
        output(&outcome, "stdout"),
        "::1|8080|[::1]:8080|7 1000 2 {host}; rm -rf / {size}\nGET http://[::1]:8080/\n1s C\n"
    );
    let external = external(&outcome);
    assert_eq!(external.arguments.last().unwrap(), "1000 2 {host}; rm -rf / {size}");
    assert!(external.path.as_ref().unwrap().starts_with('/') && external.sha256.as_ref().unwrap().len() == 64);
    assert!(outcome.window.end > outcome.window.start && external.failure.is_none() && !external.requests);
}

#[test]
fn figures_and_counts_are_taken_from_streams_and_files() {
    let mut load = shell("echo 'p99 3.5'; echo 'requests 90' >&2; printf '{\"failed\": [1, 2, 7]}' > out.json");
    let mut requests = figure("requests", r"requests (\d+)");
    (requests.from, requests.counts) = (OutputPart::Stderr, Some(CountOf::Requests));
    let mut failures = figure("failures", "");
    failures.at = Extract::Json("/failed".to_owned());
    failures.from = OutputPart::File("out.json".to_owned());
    (failures.take, failures.counts) = (Some(protocol::load::Take::Sum), Some(CountOf::Failures));
    load.figures = vec![figure("p99", r"p99 ([\d.]+)"), requests, failures];
    let outcome = run(load);
    let values: Vec<_> = external(&outcome).figures.iter().map(|figure| figure.value).collect();
    assert_eq!(values, [Some(3.5), Some(90.0), Some(10.0)]);
    assert_eq!(
        (
            outcome.counts.due,
            outcome.counts.succeeded,
            outcome.counts.of(ErrorKind::Other)
        ),
        (90, 80, 10)
    );
    assert!(external(&outcome).counts);
    assert_eq!(output(&outcome, "out.json"), "{\"failed\": [1, 2, 7]}");
}

#[test]
fn no_request_at_all_is_a_failure() {
    let mut load = shell("echo 'requests 0'");
    load.figures = vec![figure("requests", r"requests (\d+)")];
    load.figures[0].counts = Some(CountOf::Successes);
    assert_eq!(external(&run(load)).failure.as_deref(), Some("it counted no request"));
}

#[test]
fn a_missing_figure_is_a_failure_that_keeps_the_output() {
    let mut load = shell("echo nothing; echo why >&2");
    load.figures = vec![figure("p99", r"p99 (\d+)"), figure("p50", r"p50 (\d+)")];
    load.figures[1].from = OutputPart::File("out.json".to_owned());
    let outcome = run(load);
    let failure = external(&outcome).failure.clone().unwrap();
    assert!(failure.contains("figure p99 in stdout: nothing matches"), "{failure}");
    assert!(failure.contains("the program wrote no file out.json"), "{failure}");
    assert_eq!(
        (output(&outcome, "stdout"), output(&outcome, "stderr")),
        ("nothing\n".to_owned(), "why\n".to_owned())
    );
}

#[test]
fn an_unexpected_exit_code_is_a_failure() {
    let failure = |script: &str, code| {
        let outcome = run(CommandLoad {
            exit_code: code,
            ..shell(script)
        });
        external(&outcome).failure.clone()
    };
    let said = failure("echo 'cannot connect' >&2; exit 3", 0).unwrap();
    assert!(
        said.contains("exit status: 3, expected exit code 0: cannot connect"),
        "{said}"
    );
    let said = failure("echo 'only here'; kill -9 $$", 0).unwrap();
    assert!(said.contains("signal: 9") && said.contains("only here"), "{said}");
    assert_eq!(failure("exit 3", 3), None);
    assert!(failure("exit 0", 3).unwrap().contains("expected exit code 3"));
}

#[test]
fn the_time_limit_is_a_failure_with_the_output_so_far() {
    let outcome = run(CommandLoad {
        time_limit: Duration::from_millis(300),
        ..shell("echo started; sleep 1000")
    });
    let failure = external(&outcome).failure.clone().unwrap();
    assert!(
        failure.contains("killed at its time limit of 300ms; raise `time_limit`"),
        "{failure}"
    );
    assert_eq!(output(&outcome, "stdout"), "started\n");
}

#[test]
fn cancellation_ends_the_program_at_once() {
    let control = Arc::new(Control::new());
    let canceller = Arc::clone(&control);
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("started");
    let script = format!("touch {}; exec sleep 1000", mark.display());
    let thread = std::thread::spawn(move || {
        while !mark.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        canceller.cancel();
        Instant::now()
    });
    let outcome = run_with(shell(&script), &control).unwrap();
    assert!(outcome.cancelled && external(&outcome).failure.is_none());
    assert!(thread.join().unwrap().elapsed() < 5 * SECOND);
}

#[test]
fn a_warm_up_is_a_run_of_its_own_unless_the_program_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let warm = |script: String| {
        let mut load = shell(&script);
        load.timing.warm_up = Duration::from_millis(500);
        load
    };
    let outcome = run(warm(format!("echo run {{duration}} >> {}", log.display())));
    assert_eq!(fs::read_to_string(&log).unwrap(), "run 0.5\nrun 1\n");
    assert_eq!(outcome.window.start, 0);
    fs::remove_file(&log).unwrap();
    let outcome = run(warm(format!(
        "echo run {{warm_up}} {{duration}} >> {}; sleep 0.6",
        log.display()
    )));
    assert_eq!(fs::read_to_string(&log).unwrap(), "run 0.5 1\n");
    assert!(outcome.window.end < nanos(60 * SECOND));
    let failed = run(warm("test {duration} = 1 || exit 9".to_owned()));
    assert!(external(&failed).failure.as_ref().unwrap().contains("exit status: 9"));
}

#[test]
fn requests_are_read_from_a_jtl() {
    let header = "timeStamp,elapsed,responseCode,success";
    let rows = "1000,3,200,true\\n1500,8,500,false\\n1900,4,200,true\\n";
    let mut load = shell(&format!("printf '{header}\\n{rows}' > out.jtl; : {{warm_up}}"));
    load.jtl = Some("out.jtl".to_owned());
    load.timing.warm_up = Duration::from_millis(400);
    let outcome = run(load.clone());
    assert_eq!(
        (outcome.counts.due, outcome.counts.succeeded, outcome.warm_up.due),
        (2, 1, 1)
    );
    assert_eq!(outcome.window, 400_000_000..1_400_000_000);
    assert!(external(&outcome).requests && external(&outcome).failure.is_none());
    load.arguments[1] = format!("printf '{header}\\n' > out.jtl");
    assert!(
        external(&run(load.clone()))
            .failure
            .as_ref()
            .unwrap()
            .contains("out.jtl: it has no request")
    );
    load.arguments[1] = "true".to_owned();
    assert!(
        external(&run(load))
            .failure
            .as_ref()
            .unwrap()
            .contains("out.jtl: No such file")
    );
}

#[test]
fn the_version_is_the_first_line_that_says_something() {
    let version = |arguments: &[&str]| {
        let mut load = shell("true");
        load.version = arguments.iter().map(|&text| text.to_owned()).collect();
        external(&run(load)).version.clone()
    };
    assert_eq!(
        version(&["-c", "echo; echo tool 1.2 >&2; exit 1"]).as_deref(),
        Some("tool 1.2")
    );
    assert_eq!(
        version(&["-c", "echo; echo ---; echo tool 1.3; echo more"]).as_deref(),
        Some("tool 1.3")
    );
    assert_eq!((version(&["-c", "true"]), version(&[])), (None, None));
}

#[test]
fn a_copied_file_must_be_the_checked_one() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("names");
    fs::write(&path, "example.test A\n").unwrap();
    let mut load = shell("cat names");
    load.files = vec![WorkingFile {
        name: "names".to_owned(),
        text: None,
        path: Some(path.clone()),
        sha256: Some(sha256(&path).unwrap()),
    }];
    assert_eq!(output(&run(load.clone()), "stdout"), "example.test A\n");
    fs::write(&path, "other.test A\n").unwrap();
    let why = run_with(load.clone(), &Control::new()).unwrap_err().to_string();
    assert!(why.contains("file names was altered"), "{why}");
    fs::remove_file(&path).unwrap();
    let why = run_with(load, &Control::new()).unwrap_err().to_string();
    assert!(why.contains("file names: No such file"), "{why}");
}

#[test]
fn a_missing_program_is_named_with_its_remedy() {
    let mut load = shell("true");
    (load.program, load.install) = ("no-such-program".to_owned(), "apt-get install it".to_owned());
    let why = run_with(load, &Control::new()).unwrap_err().to_string();
    assert!(
        why.contains("no-such-program is not installed") && why.contains("apt-get install it"),
        "{why}"
    );
}

#[test]
fn long_output_is_cut_in_the_middle() {
    assert_eq!(kept("short"), "short");
    let long = "a".repeat(MAX_KEPT) + "\u{e9}" + &"b".repeat(MAX_KEPT);
    let kept = kept(&long);
    assert!(kept.len() < MAX_KEPT + 100 && kept.starts_with('a') && kept.ends_with('b'));
    assert!(kept.contains("bytes left out]"));
}

#[test]
fn nothing_is_left_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let load = shell(&format!("pwd > {}/where", scratch.path().display()));
    run(load);
    let folder = fs::read_to_string(scratch.path().join("where")).unwrap();
    assert!(!Path::new(folder.trim()).exists(), "{folder}");
}
