//! The runner's own CPUs: it and its sampler should not take time from the services.

use anyhow::{Context as _, bail};
use nix::sched::{CpuSet as Affinity, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use protocol::spec::CpuSet;

/// Keeps this process to these CPUs, and says which it had before. To be called before any thread is started, since only the calling one moves.
///
/// # Errors
/// CPUs that this machine has not got, or that the runner may not use.
pub fn keep_to(cpus: &CpuSet) -> anyhow::Result<CpuSet> {
    let before = sched_getaffinity(Pid::from_raw(0)).context("the runner's CPUs cannot be asked for")?;
    let before = listed(&before).context("the runner has no CPU")?;
    let Some(wanted) = deploy::affinity(cpus) else {
        bail!("key cpus: {cpus} are beyond the CPUs that the scheduler knows: use some of {before}");
    };
    if cpus.shared(&before).len() < cpus.cpus().len() {
        bail!("key cpus: the runner may not use all of {cpus}: use some of {before}");
    }
    sched_setaffinity(Pid::from_raw(0), &wanted).with_context(|| format!("key cpus: {cpus} cannot be kept to"))?;
    Ok(before)
}

fn listed(affinity: &Affinity) -> Option<CpuSet> {
    let is_in = |cpu: &u32| affinity.is_set(*cpu as usize).unwrap_or(false);
    let most = u32::try_from(Affinity::count()).unwrap_or(u32::MAX);
    CpuSet::of((0..most).filter(is_in).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cpus_that_are_there_can_be_kept_to() {
        // In a thread of its own: it is this thread that moves.
        let tried = std::thread::spawn(|| {
            let all = keep_to(&CpuSet::of(vec![4000]).unwrap()).unwrap_err().to_string();
            let own = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let one = CpuSet::of(listed(&own).unwrap().cpus()[..1].to_vec()).unwrap();
            let before = keep_to(&one).unwrap();
            (
                all,
                Some(before) == listed(&own),
                listed(&sched_getaffinity(Pid::from_raw(0)).unwrap()) == Some(one),
            )
        });
        let (error, is_before, is_kept) = tried.join().unwrap();
        assert!(error.contains("key cpus") && is_before && is_kept, "{error}");
    }
}
