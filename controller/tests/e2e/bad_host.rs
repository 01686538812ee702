//! Faults of the results directory, and unavailable platforms.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agree::{agree, agree_raw, journal, json};
use crate::experiment::{Experiment, NATIVE};
use crate::lab::{Lab, started_by};

/// A tmpfs, unmounted on drop.
struct Tiny(PathBuf);

impl Tiny {
    fn new(path: &Path) -> Self {
        std::fs::create_dir(path).unwrap();
        let tiny = Self(path.to_owned());
        tiny.mount("size=256k");
        tiny
    }

    fn mount(&self, options: &str) {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "jung-e2e"]).arg(&self.0);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Keeps the broker's files out of the results directory.
fn with_files_apart(lab: &Lab) -> Experiment {
    let experiment = lab.experiment();
    Experiment {
        kafka: format!("{}\ndata = \"{}\"", experiment.kafka, lab.path("embedded").display()),
        ..experiment
    }
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_ends_the_run_and_complete_attempts_are_kept() {
    let lab = Lab::new();
    let disk = Tiny::new(&lab.path("results"));
    let _runner = lab.runner();
    let said = lab.run(&with_files_apart(&lab).with_blocks(8), 7);
    assert!(said.contains("No space left on device"), "{said}");
    let run = lab.run_folder();
    let kept = agree_raw(&run);
    let count = kept.counted().count();
    assert!((1..8).contains(&count), "{kept:?}");
    disk.mount("remount,size=20m");
    let name = run.file_name().unwrap().to_str().unwrap().to_owned();
    lab.controller(&["--resume", &name]).ends_with(0);
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 8);
    assert!(
        kept.counted()
            .zip(agreed.counted())
            .all(|(old, new)| old.folder == new.folder)
    );
}

#[test]
fn an_unwritable_results_directory() {
    let lab = Lab::new();
    let _runner = lab.runner();
    nobody_may_write(&lab);
    std::fs::create_dir(lab.path("embedded")).unwrap();
    set_mode(&lab.path("embedded"), 0o777);
    lab.write(&with_files_apart(&lab));
    let said = lab.controller_with(as_nobody(&lab)).ends_with(7);
    assert!(
        said.contains("results/small") && said.contains("Permission denied"),
        "{said}"
    );
}

#[test]
fn an_unwritable_data_directory_of_the_embedded_broker() {
    let lab = Lab::new();
    nobody_may_write(&lab);
    lab.write(&lab.experiment());
    let said = lab.controller_with(as_nobody(&lab)).ends_with(7);
    assert!(
        said.contains("results/.broker") && said.contains("Permission denied"),
        "{said}"
    );
    assert!(said.contains("`data` in [kafka]"), "{said}");
}

fn nobody_may_write(lab: &Lab) {
    std::fs::create_dir(lab.path("results")).unwrap();
    set_mode(&lab.path(""), 0o755);
    set_mode(&lab.path("results"), 0o555);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The controller without root privileges.
fn as_nobody(lab: &Lab) -> Command {
    let command = lab.controller_command(&[]);
    if !nix::unistd::geteuid().is_root() {
        return command;
    }
    // Other users cannot enter a checkout below /root.
    let copy = lab.path("controller");
    std::fs::copy(command.get_program(), &copy).unwrap();
    let mut copied = Command::new(copy);
    copied.args(command.get_args()).current_dir(lab.path(""));
    started_by(
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        &copied,
    )
}

#[test]
fn a_missing_engine_of_a_required_and_an_optional_platform() {
    let lab = Lab::new();
    let mut command = lab.runner_command();
    command.env("DOCKER_HOST", "unix:///nonexistent.sock");
    let _runner = lab.runner_with(command);
    let docker = |more: &str| format!("{NATIVE}[[platform]]\nkind = \"docker\"\n{more}");
    let said = lab.run(&lab.experiment().with_platforms(&docker("")), 6);
    assert!(said.contains("there is no Docker engine on this host"), "{said}");
    assert!(said.contains("deploy/setup.sh docker"), "{said}");
    lab.assert_no_run();

    let said = lab.run(&lab.experiment().with_platforms(&docker("optional = true")), 0);
    assert!(said.contains("optional, left out"), "{said}");
    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 2);
    let left_out = json(&run.join("manifest.json"))["left_out"].to_string();
    assert!(left_out.contains("there is no Docker engine"), "{left_out}");
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("there is no Docker engine"), "{report}");
    assert!(journal(&run).iter().all(|entry| !entry.to_string().contains("docker")));
}
