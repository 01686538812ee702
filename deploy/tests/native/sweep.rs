//! What a crashed runner left is swept, and nothing else.

use std::process::{Child, Command};

use deploy::Driver;
use deploy::mark::Mark;
use protocol::ids::{AttemptId, Name};

use crate::lab::{self, Lab};

/// A process that was left by a killed runner.
struct Orphan(Child);

impl Orphan {
    fn of(runner: Option<&Name>) -> Self {
        let mut command = Command::new("sleep");
        command.arg("600");
        if let Some(runner) = runner {
            let mark = Mark {
                runner: runner.clone(),
                attempt: AttemptId::fresh(),
                service: "orphan".parse().unwrap(),
            };
            command.envs(mark.environment());
        }
        Self(command.spawn().unwrap())
    }

    fn alive(&self) -> bool {
        lab::alive(self.0.id())
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn only_a_marked_orphan_is_swept() {
    let lab = Lab::new();
    let longer: Name = format!("{}-b", lab.host.runner).parse().unwrap();
    let (own, unmarked, other) = (
        Orphan::of(Some(&lab.host.runner)),
        Orphan::of(None),
        Orphan::of(Some(&longer)),
    );
    let found = lab.native().sweep().await.unwrap().join("; ");
    assert!(found.contains(&format!("killed marked pid {}", own.0.id())), "{found}");
    assert!(!own.alive() && unmarked.alive() && other.alive());
    assert_eq!(lab.native().sweep().await.unwrap(), [] as [String; 0]);
}

#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn a_leftover_cgroup_is_emptied_and_removed() {
    use deploy::cgroup::{Cgroup, Layout};
    let lab = Lab::new();
    let layout = Layout::of_this_host().unwrap();
    let group = deploy::mark::cgroup_group(&lab.host.runner);
    let cgroup = Cgroup::create(&layout, &group, "left-tcp", &Default::default()).unwrap();
    let orphan = Orphan::of(None);
    for mut file in cgroup.procs_files().unwrap() {
        std::io::Write::write_all(&mut file, orphan.0.id().to_string().as_bytes()).unwrap();
    }
    assert_eq!(cgroup.pids(), [orphan.0.id()]);
    let found = lab.native().sweep().await.unwrap().join("; ");
    assert!(
        found.contains("removed cgroup") && !found.contains("could not"),
        "{found}"
    );
    assert!(!orphan.alive());
    for root in layout.roots() {
        assert!(!root.join(&group).exists());
    }
}

/// The hybrid layout mounts version 2 too, without controllers: enough to join, list, kill and remove.
#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn version_2_is_joined_emptied_and_removed() {
    use deploy::cgroup::{Cgroup, Layout, sweep};
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let unified: String = mounts.lines().filter(|line| line.contains(" - cgroup2 ")).collect();
    let layout = Layout::read(&unified).expect("cgroup2 is mounted nowhere");
    let group = deploy::mark::cgroup_group(&Lab::new().host.runner);
    let cgroup = Cgroup::create(&layout, &group, "left-tcp", &Default::default()).unwrap();
    let orphan = Orphan::of(None);
    for mut file in cgroup.procs_files().unwrap() {
        std::io::Write::write_all(&mut file, orphan.0.id().to_string().as_bytes()).unwrap();
    }
    assert_eq!(cgroup.pids(), [orphan.0.id()]);
    let found = sweep(&layout, &group).join("; ");
    assert!(
        found.contains(&format!("killed pid {}", orphan.0.id())) && !found.contains("could not"),
        "{found}"
    );
    assert!(!orphan.alive());
    assert!(layout.roots().iter().all(|root| !root.join(&group).exists()));
}
