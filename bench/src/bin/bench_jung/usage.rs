//! CPU and memory of the services, from `/proc`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use workloads::jung::service::Service;

/// Sampling interval of memory.
const INTERVAL: Duration = Duration::from_millis(250);

/// Tables 3 and 4 of the thesis: CPU % and memory MB, each on `OSv` and on Docker.
const THESIS: [(Service, [f64; 4]); 6] = [
    (Service::UserRegistry, [21.279, 6.925, 123.015, 17.889]),
    (Service::AuthManager, [24.633, 9.568, 123.164, 17.891]),
    (Service::RuleEngine, [58.326, 33.404, 128.002, 18.373]),
    (Service::DeviceRegistry, [15.411, 3.150, 122.662, 18.616]),
    (Service::DeviceMonitor, [60.374, 34.509, 126.182, 20.866]),
    (Service::DeviceCommander, [38.328, 24.699, 196.420, 62.834]),
];

/// Measures processes.
pub struct Meter {
    end: oneshot::Sender<()>,
    watch: JoinHandle<Usage>,
}

/// CPU time and memory of the services.
pub struct Usage(Vec<Used>);

struct Used {
    service: Service,
    pid: u32,
    cpu_ns: u64,
    rss_kib: u64,
}

impl Meter {
    /// Starts measuring.
    pub fn start(pids: Vec<(Service, u32)>) -> Self {
        let (end, mut ended) = oneshot::channel();
        let used = |(service, pid)| Used {
            service,
            pid,
            cpu_ns: cpu_ns(pid),
            rss_kib: 0,
        };
        let mut usage = Usage(pids.into_iter().map(used).collect());
        let watch = tokio::spawn(async move {
            loop {
                for used in &mut usage.0 {
                    used.rss_kib = used.rss_kib.max(rss_kib(used.pid));
                }
                if tokio::time::timeout(INTERVAL, &mut ended).await.is_ok() {
                    break;
                }
            }
            for used in &mut usage.0 {
                used.cpu_ns = cpu_ns(used.pid).saturating_sub(used.cpu_ns);
            }
            usage
        });
        Self { end, watch }
    }

    /// Stops measuring.
    pub async fn stop(self) -> Usage {
        // Fails only if the task panicked.
        let _ = self.end.send(());
        self.watch.await.unwrap_or(Usage(Vec::new()))
    }
}

impl Usage {
    /// A table of CPU (% of one core) and maximum RSS, next to the thesis'.
    pub fn tables(&self, over: Duration) -> String {
        let mut text = format!(
            "{:<18}{:>8}{:>14}{:>16}{:>10}{:>13}{:>15}\n",
            "service", "CPU %", "thesis OSv %", "thesis Docker %", "RSS MB", "thesis OSv", "thesis Docker"
        );
        for used in &self.0 {
            let cpu = Duration::from_nanos(used.cpu_ns).as_secs_f64() / over.as_secs_f64() * 100.0;
            #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 KiB")]
            let rss = used.rss_kib as f64 * 1024.0 / 1e6;
            let _ = write!(text, "{:<18}{cpu:>8.1}", used.service.name());
            let _ = match THESIS.iter().find(|(service, _)| *service == used.service) {
                Some((_, [cpu_osv, cpu_docker, osv, docker])) => {
                    writeln!(
                        text,
                        "{cpu_osv:>14.1}{cpu_docker:>16.1}{rss:>10.1}{osv:>13.1}{docker:>15.1}"
                    )
                }
                None => writeln!(text, "{:>14}{:>16}{rss:>10.1}", "", ""),
            };
        }
        text
    }
}

/// CPU time of all threads, ns; 0 if the process does not exist.
fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let of_thread = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.filter_map(|thread| of_thread(thread.path())).sum()
}

/// Resident memory, KiB; 0 if the process does not exist.
fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
