
use protocol::summary::Exit;

/// How the container with the first process `pid` ended, from LXC's log at level INFO. Every end but exit code 0 has a line.
pub(super) fn read(log: &str, pid: u32) -> Exit {
    let begin = format!("Child <{pid}> ended on ");
    let told = log
        .lines()
        .rev()
        .find_map(|line| Some(line.split_once(&begin)?.1.trim_end()));
    let Some(told) = told else {
        return Exit::Code(0);
    };
    let number = |kind: &str| {
        told.strip_prefix(kind)?
            .strip_suffix(')')?
            .rsplit_once('(')?
            .1
            .parse()
            .ok()
    };
    match (number("error "), number("signal ")) {
        (Some(code), _) => Exit::Code(code),
        (_, Some(signal)) => Exit::Signal(signal),
        _ => Exit::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log lines of LXC 5.0.2, with their surroundings.
    fn line(end: &str) -> String {
        format!(
            "lxc-start x 20261122085959.823 NOTICE   start - ../src/lxc/start.c:post_start:2205 - Started \"/workload\" with pid \"77\"\n\
             lxc-start x 20261122085959.825 INFO     error - ../src/lxc/error.c:lxc_error_set_and_log:31 - {end}\n\
             lxc-start x 20261122085959.835 INFO     network - ../src/lxc/network.c:lxc_delete_network_priv:3680 - Removed interface \"jt\" from \"jb\"\n"
        )
    }

    #[test]
    fn exits_are_parsed() {
        assert_eq!(read(&line("Child <77> ended on error (2)"), 77), Exit::Code(2));
        assert_eq!(read(&line("Child <77> ended on signal Killed(9)"), 77), Exit::Signal(9));
        assert_eq!(read(&line("something else"), 77), Exit::Code(0));
        assert_eq!(
            read(&line("Child <78> ended on error (2)"), 77),
            Exit::Code(0),
            "another container's line"
        );
        assert_eq!(read(&line("Child <77> ended on a whim"), 77), Exit::Unknown);
    }
}
