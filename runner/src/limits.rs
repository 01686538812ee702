//! The runner's own limits: as many open files as allowed, since the sampler keeps many open, and CPUs apart from those of the services.

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::sched::{CpuSet as Affinity, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use protocol::spec::CpuSet;

/// The limit of open files was not raised.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The limit that child processes are to get could not be saved.
    #[error("cannot read the limit of open files ({0}): it stays, and the sampler reopens the files beyond it")]
    Unread(#[from] std::io::Error),
    /// The system refused.
    #[error(
        "cannot raise the limit of open files to {hard} ({error}): it stays, and the sampler reopens the files beyond it"
    )]
    Refused {
        /// The hard limit.
        hard: u64,
        /// The system's error.
        error: Errno,
    },
}

/// Raises the limit of open files to the hard limit, which needs no privilege. Services get the original limit.
///
/// # Errors
/// [`LimitError`]; the limit has not changed then.
pub fn raise_open_files() -> Result<u64, LimitError> {
    deploy::process::keep_open_files_of_children()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|error| LimitError::Refused { hard, error })?;
    Ok(hard)
}

/// Pins this process to these CPUs and returns those it was allowed before. Call it before any thread is started, since it only moves the calling one.
///
/// # Errors
/// CPUs that this machine does not have or that the runner may not use.
pub fn pin_to(cpus: &CpuSet) -> anyhow::Result<CpuSet> {
    let before = sched_getaffinity(Pid::from_raw(0)).context("cannot read the runner's CPU affinity")?;
    let before = cpu_set(&before).context("the runner's CPU affinity is empty")?;
    let Some(affinity) = deploy::affinity(cpus) else {
        bail!("key cpus: {cpus} exceeds the CPU numbers of the scheduler: use some of {before}");
    };
    if cpus.shared(&before).len() < cpus.cpus().len() {
        bail!("key cpus: the runner may not use all of {cpus}: use some of {before}");
    }
    sched_setaffinity(Pid::from_raw(0), &affinity)
        .with_context(|| format!("key cpus: cannot pin the runner to {cpus}"))?;
    Ok(before)
}

fn cpu_set(affinity: &Affinity) -> Option<CpuSet> {
    let is_in = |cpu: &u32| affinity.is_set(*cpu as usize).unwrap_or(false);
    let count = u32::try_from(Affinity::count()).unwrap_or(u32::MAX);
    CpuSet::of((0..count).filter(is_in).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_pinned_only_to_cpus_that_exist() {
        // In a thread of its own, which is what moves.
        let tried = std::thread::spawn(|| {
            let error = pin_to(&CpuSet::of(vec![4000]).unwrap()).unwrap_err().to_string();
            let own = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let one = CpuSet::of(cpu_set(&own).unwrap().cpus()[..1].to_vec()).unwrap();
            let before = pin_to(&one).unwrap();
            (
                error,
                Some(before) == cpu_set(&own),
                cpu_set(&sched_getaffinity(Pid::from_raw(0)).unwrap()) == Some(one),
            )
        });
        let (error, is_before, is_pinned) = tried.join().unwrap();
        assert!(error.contains("key cpus") && is_before && is_pinned, "{error}");
    }
}
