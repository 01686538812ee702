//! How the sampler's thread is scheduled.

use nix::errno::Errno;

/// How the sampler's thread is scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// As every other thread.
    #[default]
    Normal,
    /// With this nice value, -20 to 19. Below 0 it has priority over what it samples.
    Nice(i8),
    /// In real time (`SCHED_FIFO`) with this priority, 1 to 99: before every thread that is not.
    RealTime(u8),
}

/// The string is not a [`Priority`].
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
    /// Applies it to the calling thread.
    ///
    /// # Errors
    /// A message with the remedy if the kernel refuses.
    pub fn apply(self) -> Result<(), String> {
        let done = match self {
            Self::Normal => return Ok(()),
            Self::Nice(value) => nice(value),
            Self::RealTime(priority) => real_time(priority),
        };
        done.map_err(|error| {
            let remedy = "run the runner as root, or give it CAP_SYS_NICE";
            format!("cannot set the sampler's priority to {self:?} ({error}), it runs at normal priority: {remedy}")
        })
    }
}

#[expect(unsafe_code, reason = "no safe binding")]
fn nice(value: i8) -> Result<(), Errno> {
    // SAFETY: only numbers are passed; on Linux, 0 is the calling thread.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value.into()) }).map(drop)
}

#[expect(unsafe_code, reason = "no safe binding")]
fn real_time(priority: u8) -> Result<(), Errno> {
    let parameter = libc::sched_param {
        sched_priority: priority.into(),
    };
    // SAFETY: the parameter outlives the call; 0 is the calling thread. With RESET_ON_FORK its children run at normal priority.
    let done =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameter) };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_parsed_or_rejected() {
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
    fn a_thread_may_always_lower_its_priority() {
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
