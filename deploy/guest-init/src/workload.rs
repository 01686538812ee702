//! The workload as a child process, and the orphans that the first process must reap.

use std::process::{Child, Command};

/// Starts a program with these arguments.
pub fn start(program: &str, args: impl Iterator<Item = String>) -> Result<Child, String> {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", "/").current_dir("/");
    command.spawn().map_err(|error| format!("{program}: {error}"))
}

/// Reaps every process that ends until the workload does. Returns its exit code, or its signal as a negative number.
pub fn wait(workload: Child) -> Result<i32, String> {
    let wanted = libc::pid_t::try_from(workload.id()).map_err(|error| error.to_string())?;
    loop {
        let mut status = 0;
        #[expect(
            unsafe_code,
            reason = "std waits for known children only, but the first process must reap all"
        )]
        // SAFETY: the status is written to a local variable.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if pid == wanted {
            return Ok(code(status));
        }
        if pid < 0 {
            return Err(format!("waiting: {}", std::io::Error::last_os_error()));
        }
    }
}

fn code(status: libc::c_int) -> i32 {
    if libc::WIFSIGNALED(status) {
        -libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_signals_share_one_number() {
        assert_eq!(code(3 << 8), 3);
        assert_eq!(code(libc::SIGSEGV), -libc::SIGSEGV);
    }

    #[test]
    fn a_child_is_waited_for() {
        let child = Command::new("/bin/sh").args(["-c", "exit 5"]).spawn().unwrap();
        assert_eq!(wait(child), Ok(5));
    }
}
