//! Guests of a lab, and checks that nothing of them is left. All are emulated, so that every machine can run the tests.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testkit::free_port;

use crate::agree::{agree, agree_so_far, json};
use crate::experiment::Experiment;
use crate::kernel::Kernel;
use crate::lab::Lab;

/// Closed loops, which a busy machine slows down but does not invalidate, of at least a second, so that they contain samples: 100 requests of four
/// users, 4,000 packets with a window of four.
const LOADS: &str = r#"[[load]]
kind = "users"
name = "users-4"
users = 4
requests = 25
think_time = "50ms"
keep_alive = false
timeout = "30s"

[[load]]
kind = "udp"
name = "stream"
packets = 4000
window = 4
pace = "1us"
timeout = "30s"

"#;

/// Writes a guest description on the runner's host.
pub fn describe(lab: &Lab, guest: &str, text: &str) {
    let guests = lab.path("state/guests");
    std::fs::create_dir_all(&guests).unwrap();
    std::fs::write(guests.join(format!("{guest}.toml")), text).unwrap();
}

/// Describes a guest with the cached kernel and an initramfs; `more` are further keys.
pub fn linux(lab: &Lab, guest: &str, more: &str) {
    let (kernel, modules) = (cached("kernel", "vmlinuz"), cached("kernel", "modules"));
    describe(
        lab,
        guest,
        &format!("preset = 'linux'\nkernel = {kernel:?}\nmodules = {modules:?}\n{more}"),
    );
}

/// Describes a guest with the cached disk; `more` are further keys.
pub fn debian(lab: &Lab, guest: &str, more: &str) {
    let [kernel, initrd, disk] = ["vmlinuz", "initrd.img", "root.qcow2"].map(|file| cached("disk", file));
    let append =
        "root=LABEL=jung-root ro console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet systemd.show_status=false";
    describe(
        lab,
        guest,
        &format!(
            "preset = 'cloud'\nkernel = {kernel:?}\ninitrd = {initrd:?}\nappend = '{append}'\n{more}\n\
             [[disks]]\npath = {disk:?}\nformat = 'qcow2'\nwritable = true"
        ),
    );
}

/// Describes a guest of a few instructions.
pub fn tiny(lab: &Lab, guest: &str, kernel: &Kernel) {
    let path = lab.path(&format!("{guest}.kernel"));
    std::fs::write(&path, kernel.image()).unwrap();
    describe(
        lab,
        guest,
        &format!("kernel = {path:?}\nready = '^up$'\npanic = 'PANIC'\nmemory_mib = 16\n"),
    );
}

/// A `[[platform]]` table of guests.
pub fn platform(name: &str, guest: &str, network: &str) -> String {
    format!(
        "[[platform]]\nkind = \"guest\"\nname = \"{name}\"\nguest = \"{guest}\"\nnetwork = \"{network}\"\nacceleration = \"tcg\"\n"
    )
}

/// One block of the workloads `tcp` and `udp` on these platforms under small loads, with deadlines for a busy machine.
pub fn both_services(lab: &Lab, platforms: &str) -> Experiment {
    let mut experiment = lab.experiment().with_platforms(platforms).with_blocks(1);
    experiment.workload = Some(format!(
        "[[workload]]\nkind = \"tcp\"\nport = {}\n\n[[workload]]\nkind = \"udp\"\nport = {}\n",
        free_port(),
        free_port()
    ));
    experiment.loads = LOADS.to_owned();
    experiment.deadlines += "\nready = \"15m\"\ngrace = \"2m\"";
    experiment
}

/// Every trial counts, was served completely and sampled, on the network given by its platform's name; the report marks the emulation.
#[track_caller]
pub fn assert_served(lab: &Lab, trials: usize) {
    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), trials);
    for attempt in agreed.counted() {
        let record = json(&run.join(&attempt.folder).join("trial.json"));
        assert_eq!(attempt.ok, attempt.total, "{}", attempt.folder);
        if attempt.cell.contains(".udp.") {
            let stream = &record["udp"]["stream"];
            assert_eq!(
                (&stream["received"], &stream["lost"]),
                (&4000.into(), &0.into()),
                "{stream}"
            );
        } else {
            assert_eq!(attempt.total, 100, "{}", attempt.folder);
        }
        assert_sampled(&record);
        let endpoint = record["ready"]["endpoints"][0]["address"].as_str().unwrap();
        assert_eq!(
            endpoint.starts_with("127.0.0.1:"),
            attempt.platform.ends_with("user"),
            "{endpoint}"
        );
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for expected in [
        "Guests were emulated (TCG), not virtualised",
        "Start-up stages",
        "Size on disk by part",
    ] {
        assert!(report.contains(expected), "no {expected:?} in\n{report}");
    }
    assert_nothing_left(lab);
}

/// The guest's memory, CPU time and start-up stages were measured.
#[track_caller]
fn assert_sampled(record: &Value) {
    let used = &record["resources"][0];
    assert!(used["rss_max_bytes"].as_u64().unwrap() > 16 << 20, "{used}");
    assert!(used["cpu_total_percent"].as_f64().unwrap() > 0.0, "{used}");
    let start = &record["ready"]["startup"][0];
    let ns = |stage: &str| start[stage].as_u64().unwrap();
    assert!(
        0 < ns("process_ns") && ns("process_ns") < ns("first_output_ns") && ns("process_ns") < ns("first_reply_ns"),
        "{start}"
    );
    let sizes = &record["summary"]["services"][0]["sizes"];
    assert!(
        sizes
            .as_array()
            .unwrap()
            .iter()
            .any(|size| size["part"] == "kernel" || size["part"] == "disk"),
        "{sizes}"
    );
}

/// No tap, bridge, overlay or process of the lab's runner is left, and no port is in use.
#[track_caller]
pub fn assert_nothing_left(lab: &Lab) {
    let hash = Sha256::digest(lab.host.as_bytes())
        .iter()
        .take(4)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    let interfaces = names(Path::new("/sys/class/net"));
    let own: Vec<_> = interfaces.iter().filter(|name| name.contains(&hash)).collect();
    assert!(own.is_empty(), "{own:?}");
    assert_eq!(names(&lab.path("state/guests/overlays")), Vec::<String>::new());
    let mark = format!("JUNG_RUNNER={}", lab.host);
    let marked = |pid: &&String| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let processes = names(Path::new("/proc"));
    let left: Vec<_> = processes.iter().filter(marked).collect();
    assert!(left.is_empty(), "{left:?}");
    ports_are_free(lab);
}

/// The ports of this host by which services were reached are free.
#[track_caller]
fn ports_are_free(lab: &Lab) {
    let agreed = agree_so_far(&lab.run_folder());
    for attempt in &agreed.attempts {
        let record = json(&lab.run_folder().join(&attempt.folder).join("trial.json"));
        for endpoint in record["ready"]["endpoints"].as_array().into_iter().flatten() {
            let address: SocketAddr = endpoint["address"].as_str().unwrap().parse().unwrap();
            if address.ip().is_loopback() {
                TcpListener::bind(address).unwrap();
                UdpSocket::bind(address).unwrap();
            }
        }
    }
}

/// The names in a directory; none if it does not exist.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// A file of the guest cache.
fn cached(part: &str, file: &str) -> PathBuf {
    let cache = std::env::var("JUNG_GUEST_CACHE").unwrap_or_else(|_| "/var/cache/jung-guests".into());
    let path = Path::new(&cache).join(part).join(file);
    assert!(
        path.exists(),
        "{} is not there: run deploy/linux/{part}.sh {cache}, or name another place by JUNG_GUEST_CACHE",
        path.display()
    );
    path
}
