//! The workload, or a described service, as a child process, and the orphans that the first process must reap.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};

/// What the runner wants started instead of the workload program.
const SERVICE: &str = "/etc/jung/service";
/// The files of a described service.
const FILES: &str = "/service";

/// A program with everything that it is started with.
#[derive(Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program.
    pub program: String,
    directory: String,
    /// User and group.
    user: (u32, u32),
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Exec {
    /// The described service in the image; else a program with these arguments.
    pub fn new(program: &str, args: impl Iterator<Item = String>) -> Result<Self, String> {
        match std::fs::read_to_string(SERVICE) {
            Ok(text) => Self::parse(&text).ok_or_else(|| format!("{SERVICE} is not valid")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                program: program.to_owned(),
                directory: "/".to_owned(),
                user: (0, 0),
                args: args.collect(),
                env: vec![("PATH".to_owned(), "/".to_owned())],
            }),
            Err(error) => Err(format!("{SERVICE}: {error}")),
        }
    }

    /// Fields that are separated by NUL: program, directory, user, group, the number of arguments, the arguments, the environment.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('\0').map(str::to_owned);
        let (program, directory) = (fields.next()?, fields.next()?);
        let user = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let count: usize = fields.next()?.parse().ok()?;
        let args: Vec<String> = fields.by_ref().take(count).collect();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut env = vec![("PATH".to_owned(), path.to_owned())];
        for field in fields {
            let (name, value) = field.split_once('=')?;
            env.push((name.to_owned(), value.to_owned()));
        }
        (args.len() == count).then_some(Self {
            program,
            directory,
            user,
            args,
            env,
        })
    }

    /// Starts it. Its files then belong to its user.
    pub fn start(self) -> Result<Child, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.program);
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.clone())
            .current_dir(&self.directory);
        let (user, group) = self.user;
        if user != 0 {
            chown_all(Path::new(FILES), user, group).map_err(failed)?;
            command.uid(user).gid(group);
        }
        command.spawn().map_err(failed)
    }
}

fn chown_all(path: &Path, user: u32, group: u32) -> io::Result<()> {
    chown(path, Some(user), Some(group))?;
    if !path.is_dir() {
        return Ok(());
    }
    std::fs::read_dir(path)?.try_for_each(|entry| chown_all(&entry?.path(), user, group))
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
    fn a_described_service_is_parsed() {
        let exec = Exec::parse("/bin/x\x00/service\x0033\x0044\x002\x00-c\x00a b\x00A=b=c").unwrap();
        assert_eq!((exec.program.as_str(), exec.directory.as_str()), ("/bin/x", "/service"));
        assert_eq!(exec.user, (33, 44));
        assert_eq!(exec.args, ["-c", "a b"]);
        assert_eq!(exec.env[1], ("A".to_owned(), "b=c".to_owned()));
        for bad in [
            "",
            "/x",
            "/x\x00/\x000\x000\x002\x00a",
            "/x\x00/\x00root\x000\x000",
            "/x\x00/\x000\x000\x000\x00A",
        ] {
            assert_eq!(Exec::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_child_is_waited_for() {
        let child = Command::new("/bin/sh").args(["-c", "exit 5"]).spawn().unwrap();
        assert_eq!(wait(child), Ok(5));
    }
}
