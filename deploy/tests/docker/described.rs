//! Described services as containers: images that are pulled, loaded, built of a folder or of a program of this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use deploy::{DeployError, Deployment, Described, Driver, Service, ready};
use protocol::facts::ImageRecord;
use protocol::spec::DockerSpec;
use testkit::free_port;
use testkit::process::Running;

use crate::LONG;
use crate::lab::{Lab, name};
use crate::services::workload;

/// A service of a description; what is beside it is in `folder`.
fn described(text: &str, folder: Option<&Path>) -> Service {
    let description = protocol::description::parse("test", text).unwrap();
    let values = description.values(&BTreeMap::new()).unwrap();
    let described = Described::new(description, values, folder.map(Path::to_owned), 1 << 20).unwrap();
    Service::described(name("web"), described)
}

/// A service whose image is the static workload program as its entry point.
fn of_image(image: &str) -> String {
    let port = free_port();
    format!(
        "parameters = {{ port = {port} }}\n[container]\n{image}\nargs = ['tcp', '--listen', '{{listen}}']\n[ready]\nbody_bytes = 1000\n"
    )
}

async fn serves(lab: &Lab, service: &Service) -> (Deployment, ImageRecord) {
    let deployment = lab.deployment(std::slice::from_ref(service));
    lab.driver.prepare(&deployment).await.unwrap();
    let running = lab.driver.start(&deployment).await.unwrap();
    ready::wait(&deployment, &lab.runner, running.services(), LONG)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", lab.log("web")));
    let image = running.image(&name("web")).unwrap();
    (running, image)
}

async fn stopped(lab: &Lab, running: Deployment) {
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
    lab.wait_for_containers(0).await;
    assert_eq!(lab.service_files(), 0);
}

/// The refusal of a service before anything starts.
async fn refusal(lab: &Lab, service: &Service) -> String {
    let deployment = lab.deployment(std::slice::from_ref(service));
    let error = lab.driver.prepare(&deployment).await.unwrap_err();
    assert_eq!(lab.service_files(), 0);
    error.to_string()
}

/// Runs the engine's client.
#[track_caller]
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A folder with a Dockerfile for the static workload program; `text` tells images apart.
fn context(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    std::fs::create_dir(&app).unwrap();
    std::fs::copy(workload(), app.join("workload")).unwrap();
    std::fs::write(app.join("text"), text).unwrap();
    std::fs::write(
        app.join("Dockerfile"),
        "FROM scratch\nCOPY workload text /\nENTRYPOINT [\"/workload\"]\n",
    )
    .unwrap();
    dir
}

/// Builds an image with the engine's client.
fn build(tag: &str, text: &str) {
    let dir = context(text);
    docker(&[
        "build",
        "--quiet",
        "--tag",
        tag,
        dir.path().join("app").to_str().unwrap(),
    ]);
}

/// A registry (Debian's docker-registry) on a port of its own, with its data in a temporary folder.
struct Registry {
    _process: Running,
    host: String,
    _dir: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = format!("127.0.0.1:{}", free_port());
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n",
            dir.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let process = Running::start("docker-registry", command, &dir.path().join("log"));
        testkit::wait::until("the registry", || std::net::TcpStream::connect(&host).is_ok());
        Self {
            _process: process,
            host,
            _dir: dir,
        }
    }

    /// Pushes an image of this text under a tag. Returns its digest.
    fn push(&self, tag: &str, text: &str) -> String {
        let reference = format!("{}/group/web:{tag}", self.host);
        build(&reference, text);
        docker(&["push", "--quiet", &reference]);
        let digest = docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &reference]);
        docker(&["rmi", "--force", &reference]);
        digest.rsplit_once('@').unwrap().1.to_owned()
    }
}

#[tokio::test]
#[ignore = "needs Docker and docker-registry"]
async fn an_image_is_pulled_by_tag_and_by_digest_and_a_tag_that_moved_is_told_apart() {
    let lab = Lab::new(DockerSpec::default());
    let registry = Registry::start();
    let first = registry.push("1", "first night");
    let by_tag = |pull: &str| {
        let image = format!("image = '{}/group/web:1'\npull = '{pull}'", registry.host);
        described(&of_image(&image), None)
    };
    let by_digest = |digest: &str| {
        let image = format!("image = '{}/group/web@{digest}'", registry.host);
        described(&of_image(&image), None)
    };
    let missing = refusal(&lab, &by_tag("never")).await;
    assert!(
        missing.contains("/group/web:1") && missing.contains("remove pull = \"never\""),
        "{missing}"
    );
    let (running, pulled) = serves(&lab, &by_tag("missing")).await;
    stopped(&lab, running).await;
    assert!(pulled.digests[0].ends_with(&first), "{pulled:?}");

    let second = registry.push("1", "second night");
    assert_ne!(first, second);
    let (running, moved) = serves(&lab, &by_tag("always")).await;
    stopped(&lab, running).await;
    assert!(
        moved.digests[0].ends_with(&second) && moved.id != pulled.id,
        "{moved:?}"
    );
    let (running, pinned) = serves(&lab, &by_digest(&first)).await;
    stopped(&lab, running).await;
    assert_eq!(pinned.id, pulled.id);

    let absent = refusal(
        &lab,
        &described(&of_image(&format!("image = '{}/no/such'", registry.host)), None),
    )
    .await;
    assert!(
        absent.contains("/no/such:latest does not exist: pulling it failed"),
        "{absent}"
    );
    let gone = format!("image = '127.0.0.1:{}/web'", free_port());
    let gone = refusal(&lab, &described(&of_image(&gone), None)).await;
    assert!(
        gone.contains("pulling it failed") && gone.contains("onnection refused"),
        "{gone}"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_archive_is_loaded_once() {
    let lab = Lab::new(DockerSpec::default());
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("image.tar");
    build("jung-test-archive:1", "archived");
    docker(&["save", "--output", archive.to_str().unwrap(), "jung-test-archive:1"]);
    docker(&["rmi", "jung-test-archive:1"]);
    let service = || described(&of_image("archive = 'image.tar'"), Some(dir.path()));
    for _ in 0..2 {
        let (running, image) = serves(&lab, &service()).await;
        assert!(image.id.starts_with("sha256:"), "{image:?}");
        stopped(&lab, running).await;
    }
    std::fs::write(&archive, "not an archive").unwrap();
    assert!(refusal(&lab, &service()).await.contains("docker save"));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_folder_is_built_as_a_dockerfile_or_as_a_root_file_system() {
    let lab = Lab::new(DockerSpec::default());
    let dir = context("built here");
    let service = || described(&of_image("folder = 'app'"), Some(dir.path()));
    let (running, of_dockerfile) = serves(&lab, &service()).await;
    stopped(&lab, running).await;
    std::fs::remove_file(dir.path().join("app/Dockerfile")).unwrap();
    // A root file system has no entry point of its own.
    let of_root = of_image("folder = 'app'\nentrypoint = ['/workload']");
    let (running, of_root) = serves(&lab, &described(&of_root, Some(dir.path()))).await;
    stopped(&lab, running).await;
    assert_ne!(of_dockerfile.id, of_root.id);
    std::fs::write(dir.path().join("app/Dockerfile"), "FROM scratch\nCOPY nothing /\n").unwrap();
    let error = refusal(&lab, &service()).await;
    assert!(error.contains("nothing"), "{error}");
}

/// The description of nginx that this repository ships, with a port of its own.
fn nginx() -> Service {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/nginx/service.toml");
    let description = protocol::description::parse("nginx", &std::fs::read_to_string(&file).unwrap()).unwrap();
    let port = protocol::spec::Parameter::Integer(free_port().into());
    let values = description.values(&[("port".parse().unwrap(), port)].into()).unwrap();
    let folder: PathBuf = file.parent().unwrap().into();
    Service::described(
        name("web"),
        Described::new(description, values, Some(folder), 1 << 20).unwrap(),
    )
}

#[tokio::test]
#[ignore = "needs Docker and nginx"]
async fn nginx_of_this_host_runs_in_a_container_that_has_nothing_else() {
    for publish in [false, true] {
        let lab = Lab::new(DockerSpec {
            publish,
            ..DockerSpec::default()
        });
        let (running, image) = serves(&lab, &nginx()).await;
        assert!(image.name.starts_with("jung-service:"), "{image:?}");
        assert_eq!(running.services()[0].endpoint.unwrap().ip().is_loopback(), publish);
        assert!(running.pids(&name("web")).len() >= 2, "master and worker");
        stopped(&lab, running).await;
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_container_that_exits_at_once_or_listens_elsewhere_is_explained() {
    let lab = Lab::new(DockerSpec::default());
    build("jung-test-elsewhere:1", "elsewhere");
    let start = |args: &str| {
        let port = free_port();
        let text = format!(
            "parameters = {{ port = {port} }}\n[container]\nimage = 'jung-test-elsewhere:1'\npull = 'never'\nargs = [{args}]\n"
        );
        described(&text, None)
    };
    let deployment = lab.deployment(&[start("'tcp', '--no-such-option'")]);
    lab.driver.prepare(&deployment).await.unwrap();
    // The engine may see it running for a moment.
    match lab.driver.start(&deployment).await {
        Err(error) => assert!(
            error.to_string().contains("exited immediately, with exit code 2"),
            "{error}"
        ),
        Ok(mut running) => {
            let (_, exit) = running.ended().await;
            assert_eq!(exit, protocol::summary::Exit::Code(2));
            running.stop().await;
        }
    }
    for (listen, expected) in [
        ("127.0.0.1:{port}", "tcp 127.0.0.1:"),
        ("0.0.0.0:1234", "tcp 0.0.0.0:1234"),
    ] {
        let deployment = lab.deployment(&[start(&format!("'tcp', '--listen', '{listen}'"))]);
        lab.driver.prepare(&deployment).await.unwrap();
        let running = lab.driver.start(&deployment).await.unwrap();
        let patience = Duration::from_millis(500);
        ready::wait(&deployment, &lab.runner, running.services(), patience)
            .await
            .unwrap_err();
        let listeners = deploy::listeners(&running.pids(&name("web")));
        let shown: Vec<String> = listeners.iter().map(ToString::to_string).collect();
        assert!(shown.len() == 1 && shown[0].starts_with(expected), "{shown:?}");
        stopped(&lab, running).await;
    }
    docker(&["rmi", "jung-test-elsewhere:1"]);
}

/// The runner ends the phase at its deadline, by dropping the future.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_pull_that_never_ends_leaves_nothing() {
    let lab = Lab::new(DockerSpec::default());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("image = '{}/group/web:1'", silent.local_addr().unwrap());
    let deployment = lab.deployment(&[described(&of_image(&image), None)]);
    let pulled = tokio::time::timeout(Duration::from_secs(2), lab.driver.prepare(&deployment)).await;
    assert!(pulled.is_err(), "{pulled:?}");
    assert_eq!(lab.service_files(), 0);
}

/// An archive of an empty image for another machine, as `docker save` would write it.
fn foreign(path: &Path) {
    let config = r#"{"architecture":"s390x","os":"linux","config":{"Entrypoint":["/x"]},"rootfs":{"type":"layers","diff_ids":[]},"history":[]}"#;
    let hash = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write as _;
            child.stdin.take().unwrap().write_all(config.as_bytes())?;
            child.wait_with_output()
        })
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap()[..64].to_owned();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(format!("{hash}.json")), config).unwrap();
    let manifest = format!(r#"[{{"Config":"{hash}.json","RepoTags":null,"Layers":[]}}]"#);
    std::fs::write(dir.path().join("manifest.json"), manifest).unwrap();
    let status = Command::new("tar")
        .arg("-cf")
        .arg(path)
        .arg("-C")
        .arg(dir.path())
        .arg(".")
        .arg("--transform=s,^\\./,,")
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_image_for_another_machine_is_refused() {
    let lab = Lab::new(DockerSpec::default());
    let dir = tempfile::tempdir().unwrap();
    foreign(&dir.path().join("image.tar"));
    let service = described(&of_image("archive = 'image.tar'"), Some(dir.path()));
    let error = refusal(&lab, &service).await;
    assert!(error.contains("is for s390x, and this host is"), "{error}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_script_cannot_be_put_into_an_image() {
    let lab = Lab::new(DockerSpec::default());
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("server");
    std::fs::write(&script, "#!/bin/sh\nsleep 1\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "[native]\nprogram = '{}'\n[ready]\nkind = 'started'\n",
        script.display()
    );
    let error = refusal(&lab, &described(&text, None)).await;
    assert!(
        error.contains("is a script") && error.contains("[container]"),
        "{error}"
    );
    let deployment = lab.deployment(&[described(&text, None)]);
    let error = lab.driver.prepare(&deployment).await.unwrap_err();
    assert!(matches!(error, DeployError::Unmet { .. }), "{error:?}");
}
