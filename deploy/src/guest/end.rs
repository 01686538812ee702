//! How a guest ended.

use protocol::summary::Exit;

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEnd {
    /// The service exited with this code, or by this signal if negative, as the console shows.
    Returned(i32),
    /// It powered itself off.
    PoweredOff,
    /// It was told to quit, as its description asks.
    Quit,
    /// It panicked with this line.
    Panicked(String),
    /// It reset itself: a triple fault or a reboot.
    Reset,
    /// The hypervisor stopped it for this reason.
    Stopped(String),
    /// A virtiofsd that served it ended first, for this reason.
    Unserved(String),
    /// It did not stop in time and was killed.
    Killed,
    /// The hypervisor ended by itself, or something else ended it.
    Vmm(Exit),
}

impl GuestEnd {
    /// The end as the protocol's [`Exit`].
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Returned(code) if *code < 0 => Exit::Signal(code.saturating_neg()),
            Self::Returned(code) => Exit::Code(*code),
            Self::PoweredOff | Self::Quit => Exit::Code(0),
            Self::Panicked(_) | Self::Reset | Self::Stopped(_) => Exit::Crashed,
            Self::Unserved(_) => Exit::Unserved,
            Self::Killed => Exit::Killed,
            Self::Vmm(exit) => exit.clone(),
        }
    }
}

impl std::fmt::Display for GuestEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Returned(code) if *code < 0 => {
                write!(
                    f,
                    "the service in the guest was killed by signal {}",
                    code.saturating_neg()
                )
            }
            Self::Returned(code) => write!(f, "the service in the guest exited with code {code}"),
            Self::PoweredOff => f.write_str("the guest powered itself off"),
            Self::Quit => f.write_str("the hypervisor was told to quit, as the guest's description asks"),
            Self::Panicked(line) => write!(f, "the guest panicked: {line}"),
            Self::Reset => f.write_str("the guest reset itself: a triple fault or a reboot"),
            Self::Stopped(state) => write!(f, "the hypervisor stopped the guest: {state}"),
            Self::Unserved(how) => f.write_str(how),
            Self::Killed => f.write_str("the guest did not stop in time and was killed"),
            Self::Vmm(exit) => write!(f, "the hypervisor ended: {exit:?}"),
        }
    }
}
