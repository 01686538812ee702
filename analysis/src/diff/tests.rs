use std::collections::BTreeMap;
use std::time::Duration;

use protocol::facts::{ImageRecord, Program, ServiceRecord};
use protocol::load::LoadKind;

use super::*;
use crate::report::tests::synthetic::{self, Script};
use crate::report::{Figure, Metric, RunFigures};
use crate::store::{CellKey, Manifest, RunFolder};

fn run() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let script = Script {
        blocks: 2,
        seconds: 1,
        rates: vec![20],
        trouble: false,
        finished: true,
    };
    let run = synthetic::write(folder.path(), &script);
    (folder, run)
}

fn manifest() -> Manifest {
    let (_folder, run) = run();
    RunFolder::at(&run).manifest().unwrap()
}

fn figures(values: &[f64]) -> RunFigures {
    let name = |text: &str| text.parse().unwrap();
    RunFigures {
        manifest: manifest(),
        figures: vec![Figure {
            cell: CellKey {
                platform: name("native"),
                workload: name("tcp"),
                load: name("rate-20"),
            },
            metric: Metric::ResponseP50,
            values: values.to_vec(),
            median: crate::stats::describe::median(values),
            interval: crate::stats::describe::median_interval(values),
        }],
        services: BTreeMap::new(),
        problems: vec![],
    }
}

#[test]
fn a_run_equals_itself() {
    let (_folder, run) = run();
    let found = diff(&run, &run).unwrap();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(found.notes, [] as [String; 0]);
    assert!(found.results.iter().all(|change| change.ratio == Some(1.0)));
    assert!(text(&found).contains("The configurations are identical."));
    let json: serde_json::Value = serde_json::from_str(&json(&found)).unwrap();
    assert_eq!(json["differ"], false);
    assert!(diff(&run, "/nowhere".as_ref()).is_err());
}

#[test]
fn configurations_are_compared_value_by_value() {
    let one = manifest();
    let mut other = one.clone();
    let host = &mut other.hosts[0];
    host.cpu.governor = Some("powersave".into());
    host.settings.boot_id = Some("another".into());
    host.now.load_1m = Some(3.0);
    host.programs.push(Program {
        path: "/usr/bin/qemu-system-x86_64".into(),
        bytes: 1,
        sha256: "00".into(),
    });
    let LoadKind::Rate(rate) = &mut other.experiment.loads[0].spec.kind else {
        panic!("the synthetic loads are rates");
    };
    rate.timing.timeout = Duration::from_nanos(7);
    other.source.text = one.source.text.replace("native-docker", "another") + "# only a comment\n\n";
    other.left_out.push("platform docker cannot be used".into());
    let found: Vec<String> = setup::differences(&one, &other)
        .into_iter()
        .map(|d| format!("{}: {}: {:?} {:?}", d.part, d.what, d.one, d.other))
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    experiment: loads.rate-20.spec.kind.rate.timing.timeout_ns: Some("2000000000") Some("7")
    file: line: Some("name = \"native-docker\" # <b>not bold</b>") None
    file: line: None Some("name = \"another\" # <b>not bold</b>")
    host local: cpu.governor: Some("performance") Some("powersave")
    host local: programs./usr/bin/qemu-system-x86_64: None Some("00")
    left out: 0: None Some("platform docker cannot be used")
    "#);
    // The first run has no load average, so there is nothing to compare.
    assert_eq!(setup::notes(&one, &other), ["host local was rebooted in between"]);
    assert_eq!(setup::differences(&one, &one), []);
}

#[test]
fn a_service_that_changed_is_a_difference() {
    let record = |digest: &str| ServiceRecord {
        service: "web".parse().unwrap(),
        description: Some("nginx".parse().unwrap()),
        sha256: "11".into(),
        program: None,
        image: Some(ImageRecord {
            name: "lab:5000/nginx:1".into(),
            id: digest.into(),
            digests: vec![format!("lab:5000/nginx@{digest}")],
        }),
    };
    let run = |records: Vec<ServiceRecord>| BTreeMap::from([("docker.web.web".to_owned(), records)]);
    let of = |one: &BTreeMap<_, _>, other: &BTreeMap<_, _>| -> Vec<String> {
        let found = setup::services(one, other).into_iter();
        found
            .map(|d| format!("{}: {}: {:?} {:?}", d.part, d.what, d.one, d.other))
            .collect()
    };
    let (one, other) = (run(vec![record("sha256:1")]), run(vec![record("sha256:2")]));
    insta::assert_snapshot!(of(&one, &other).join("\n"), @r#"
    service docker.web.web: image.digests.0: Some("lab:5000/nginx@sha256:1") Some("lab:5000/nginx@sha256:2")
    service docker.web.web: image.id: Some("sha256:1") Some("sha256:2")
    "#);
    assert_eq!(of(&one, &one), [] as [&str; 0]);
    assert_eq!(
        of(&one, &BTreeMap::new()),
        [] as [&str; 0],
        "the other run has no such service"
    );
    let moved = run(vec![record("sha256:1"), record("sha256:2")]);
    assert!(!of(&one, &moved).is_empty());
}

#[test]
fn significant_and_insignificant_changes() {
    let quiet: Vec<f64> = (0..10).map(|n| 1.0 + f64::from(n) / 100.0).collect();
    let slower: Vec<f64> = quiet.iter().map(|value| value * 1.2).collect();
    let [change] = &results::changes(&figures(&quiet), &figures(&slower))[..] else {
        panic!("one figure")
    };
    assert!(change.is_significant() && (change.ratio.unwrap() - 1.2).abs() < 1e-9 && change.delta == Some(1.0));
    let within = change.ratio_interval.unwrap();
    assert!(within.low > 1.1 && within.high < 1.3, "{within:?}");
    let [change] = &results::changes(&figures(&quiet), &figures(&quiet))[..] else {
        panic!("one figure")
    };
    assert!(!change.is_significant());
    // Three trials cannot be significant.
    let [change] = &results::changes(&figures(&[1.0, 1.1, 1.2]), &figures(&[9.0, 9.1, 9.2]))[..] else {
        panic!("one figure")
    };
    assert!(!change.is_significant() && change.ratio_interval.is_none());
}

#[test]
fn a_cell_of_one_run_is_shown_and_not_compared() {
    let [change] = &results::changes(&figures(&[]), &figures(&[1.0]))[..] else {
        panic!("one figure")
    };
    assert_eq!(
        (&change.one, change.other.as_ref().map(|side| side.n)),
        (&None, Some(1))
    );
    assert_eq!((change.ratio, change.p), (None, None));
}
