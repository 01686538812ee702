//! What the file system can do to a run: files in the way, a full disk.

use std::fs;
use std::path::Path;

use protocol::event::LogTail;

use super::jtl::tests::request;
use super::record::{AttemptKey, CellKey, TrialKey};
use super::{JtlContext, RunFolder, StoreError};

fn key() -> AttemptKey {
    let name = |text: &str| text.parse().unwrap();
    let cell = CellKey {
        platform: name("native"),
        workload: name("tcp"),
        load: name("rate-500"),
    };
    AttemptKey {
        trial: TrialKey { block: 3, cell },
        attempt: 2,
    }
}

#[test]
fn an_unfinished_attempt_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::at(folder.path());
    let mut writer = run.begin(&key()).unwrap();
    let service = "tcp".parse().unwrap();
    writer
        .logs(&[LogTail {
            service,
            text: "x".into(),
        }])
        .unwrap();
    let cell = folder.path().join("native.tcp.rate-500");
    assert_eq!(fs::read_dir(&cell).unwrap().count(), 1);
    drop(writer);
    assert_eq!(fs::read_dir(&cell).unwrap().count(), 0);
    assert_eq!(key().to_string(), "native.tcp.rate-500/3-2");
}

#[test]
fn an_existing_attempt_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::at(folder.path());
    fs::create_dir_all(run.attempt_path(&key())).unwrap();
    assert!(matches!(run.begin(&key()), Err(StoreError::Exists { .. })));
}

#[test]
fn a_file_in_place_of_a_directory_is_an_error_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("native.tcp.rate-500"), "").unwrap();
    let error = RunFolder::at(folder.path()).begin(&key()).unwrap_err();
    assert!(
        matches!(error, StoreError::Io { .. }) && error.to_string().contains("native.tcp.rate-500"),
        "{error}"
    );
}

#[test]
#[ignore = "needs root: mounts a tiny tmpfs"]
fn a_full_disk_is_an_error_and_no_incomplete_attempt_remains() {
    let folder = tempfile::tempdir().unwrap();
    let _mount = Tmpfs::mount(folder.path());
    let run = RunFolder::at(folder.path());
    let mut writer = run.begin(&key()).unwrap();
    let context = JtlContext {
        groups: Vec::new(),
        label: "rate-500/tcp".into(),
        labels: vec![],
        origin_epoch_ns: 0,
    };
    let error = writer
        .requests((0..100_000).map(|n| Ok(request(n))), &context)
        .unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("requests.jtl") && text.contains("free space"), "{text}");
    drop(writer);
    assert_eq!(
        fs::read_dir(folder.path().join("native.tcp.rate-500")).unwrap().count(),
        0
    );
}

/// A tmpfs of 256 KiB, unmounted on drop.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a Path) -> Self {
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(at)
            .status();
        assert!(status.unwrap().success(), "mount failed");
        Self(at)
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg(self.0).status().ok();
    }
}
