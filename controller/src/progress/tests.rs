use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::InMemoryTerm;

use super::*;

/// A buffer of what was written.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn label(attempt: u32) -> TrialLabel {
    TrialLabel {
        number: 3,
        of: 12,
        cell: "native.tcp.rate-500".into(),
        block: 1,
        attempt,
    }
}

/// A run in which every event occurs.
fn run(progress: &dyn Progress) {
    progress.note("docker is left out: no engine answers");
    progress.trial_started(&label(1));
    progress.phase("deploy");
    progress.attempt_failed("the runner did not answer");
    progress.trial_started(&label(2));
    progress.phase("load");
    progress.load_progress(2500, Some(5000), 1);
    progress.trial_done("valid", Duration::from_millis(90_400));
    progress.finish("report: results/x/1/report.html");
}

fn lines(every: Duration) -> String {
    let buffer = Buffer::default();
    let lines = Lines::new(Box::new(buffer.clone()), || "02:21:26 ".to_owned(), every);
    run(&lines);
    buffer.text()
}

#[test]
fn lines_show_start_phase_and_end() {
    insta::assert_snapshot!(lines(Duration::from_secs(3600)), @r#"
    02:21:26 NOTE: docker is left out: no engine answers
    02:21:26 trial 3/12 native.tcp.rate-500 block 1: start
    02:21:26 trial 3/12 native.tcp.rate-500 block 1: deploy
    02:21:26 trial 3/12 native.tcp.rate-500 block 1: will be retried: the runner did not answer
    02:21:26 trial 3/12 native.tcp.rate-500 block 1 attempt 2: start
    02:21:26 trial 3/12 native.tcp.rate-500 block 1 attempt 2: load
    02:21:26 trial 3/12 native.tcp.rate-500 block 1 attempt 2: valid; about 1m30s remaining
    02:21:26 report: results/x/1/report.html
    "#);
}

#[test]
fn lines_show_the_progress_of_long_loads() {
    assert!(lines(Duration::ZERO).contains("native.tcp.rate-500 block 1 attempt 2: 2500/5000 requests, 1 errors\n"));
}

fn bars(term: &InMemoryTerm) -> Bars {
    Bars::new(12, ProgressDrawTarget::term_like(Box::new(term.clone())))
}

#[test]
fn bars_show_the_run_and_the_trial() {
    let term = InMemoryTerm::new(20, 100);
    let progress = bars(&term);
    progress.resumed(2);
    progress.trial_started(&label(1));
    progress.phase("deploy");
    progress.trial.force_draw();
    let text = term.contents();
    assert!(text.contains("2/12 trials"), "{text}");
    assert!(
        text.contains("trial 3/12 native.tcp.rate-500 block 1: deploy "),
        "{text}"
    );
    progress.phase("warm-up");
    progress.load_progress(900, Some(5000), 0);
    progress.phase("load");
    progress.load_progress(2500, Some(5000), 1);
    progress.trial.force_draw();
    let text = term.contents();
    assert!(text.contains("block 1: load "), "{text}");
    assert!(text.contains("2500/5000 requests, 1 errors"), "{text}");
    progress.trial_done("valid", Duration::from_secs(90));
    progress.run.force_draw();
    let text = term.contents();
    assert!(text.contains("3/12 trials, about 1m30s remaining"), "{text}");
}

#[test]
fn bars_are_removed_and_lines_remain() {
    let term = InMemoryTerm::new(20, 100);
    run(&bars(&term));
    let text = term.contents();
    assert!(text.contains("NOTE: docker is left out"), "{text}");
    assert!(
        text.contains("block 1: will be retried: the runner did not answer"),
        "{text}"
    );
    assert!(text.contains("attempt 2: valid"), "{text}");
    assert!(text.ends_with("report: results/x/1/report.html"), "{text}");
    assert!(!text.contains("/12 trials"), "{text}");
}
