//! How the sampler's thread is scheduled.

use nix::errno::Errno;

/// How the sampler's thread is scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Like everything else.
    #[default]
    Normal,
    /// With this nice value, -20 to 19; below 0 it goes before what it samples.
    Nice(i8),
    /// In real time (`SCHED_FIFO`) with this priority, 1 to 99: before all that is not.
    RealTime(u8),
}

/// Why a text is no [`Priority`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write \"normal\", \"nice -10\" (from -20 to 19) or \"real-time 10\" (from 1 to 99)")]
pub struct BadPriority;

impl std::str::FromStr for Priority {
    type Err = BadPriority;

    fn from_str(text: &str) -> Result<Self, BadPriority> {
        let number = |text: &str| text.trim().parse::<i8>().map_err(|_| BadPriority);
        match text.trim().split_once(' ') {
            None if text.trim() == "normal" => Ok(Self::Normal),
            Some(("nice", value)) => {
                let value = number(value)?;
                (-20..=19)
                    .contains(&value)
                    .then_some(Self::Nice(value))
                    .ok_or(BadPriority)
            }
            Some(("real-time", value)) => {
                let value = u8::try_from(number(value)?).map_err(|_| BadPriority)?;
                (1..=99)
                    .contains(&value)
                    .then_some(Self::RealTime(value))
                    .ok_or(BadPriority)
            }
            _ => Err(BadPriority),
        }
    }
}

impl Priority {
    /// Schedules the calling thread so.
    ///
    /// # Errors
    /// In words, where the kernel does not let it.
    pub fn apply(self) -> Result<(), String> {
        let done = match self {
            Self::Normal => return Ok(()),
            Self::Nice(value) => nice(value),
            Self::RealTime(priority) => real_time(priority),
        };
        done.map_err(|error| {
            let remedy = "let the runner run as root, or give it CAP_SYS_NICE";
            format!("the sampler cannot be scheduled as {self:?} ({error}): it runs as usual; {remedy}")
        })
    }
}

#[expect(unsafe_code, reason = "there is no safe binding")]
fn nice(value: i8) -> Result<(), Errno> {
    // SAFETY: takes numbers only; on Linux, 0 is the calling thread.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value.into()) }).map(drop)
}

#[expect(unsafe_code, reason = "there is no safe binding")]
fn real_time(priority: u8) -> Result<(), Errno> {
    let parameter = libc::sched_param {
        sched_priority: priority.into(),
    };
    // SAFETY: the parameter lives over the call; 0 is the calling thread. What it starts is scheduled as usual again.
    let done =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameter) };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_or_refused() {
        assert_eq!("normal".parse(), Ok(Priority::Normal));
        assert_eq!("nice -10".parse(), Ok(Priority::Nice(-10)));
        assert_eq!(" real-time 99 ".parse(), Ok(Priority::RealTime(99)));
        for bad in [
            "",
            "nice",
            "nice 20",
            "nice -21",
            "nice x",
            "real-time 0",
            "real-time 100",
            "fifo 1",
            "normal 1",
            "nice 300",
        ] {
            assert_eq!(bad.parse::<Priority>(), Err(BadPriority), "{bad:?}");
        }
    }

    #[test]
    fn a_thread_can_always_be_nicer() {
        let of_thread = || std::fs::read("/proc/thread-self/stat").unwrap();
        let thread = std::thread::spawn(move || {
            Priority::Nice(19).apply().unwrap();
            let stat = of_thread();
            let text = String::from_utf8_lossy(&stat);
            text[text.rfind(')').unwrap()..].split(' ').nth(17).unwrap().to_owned()
        });
        assert_eq!(thread.join().unwrap(), "19");
    }
}
