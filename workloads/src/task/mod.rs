//! Workload `task`: runs a program to its end, once for each request.
//!
//! `GET /run` starts the program, waits for its end, and is answered with what the run took and how it ended, as lines of
//! `name value` (see [`Run`]). Any other path is answered at once, which proves that the service is ready. Requests are
//! served one after the other, so that runs do not overlap.

mod run;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use clap::Args;

use crate::exit::Failure;
use crate::listen;
use crate::shutdown::Shutdown;
pub use run::{Run, Runner};

/// Command line options.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// The exit code of success.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub exit_code: u8,

    /// The expected standard output, without the last newline; any without this option.
    #[arg(long, value_name = "TEXT")]
    pub output: Option<String>,

    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub program: Vec<String>,
}

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest head of a request, bytes.
const MAX_HEAD: usize = 8 << 10;

/// Runs the service until SIGTERM or SIGINT, which kills a running program; prints `listening on ADDRESS` once it is
/// ready.
pub fn run(options: &Options) -> Result<(), Failure> {
    let listener = listen::tcp(options.listen, 1)
        .map_err(|error| Failure::Listen(options.listen, error))?
        .remove(0);
    let system = |operation| move |error| Failure::System(operation, error);
    listener
        .set_nonblocking(false)
        .map_err(system("failed to make the listener blocking"))?;
    let shutdown = Shutdown::by_signal().map_err(system("failed to install the signal handlers"))?;
    let address = listener
        .local_addr()
        .map_err(system("failed to get the listen address"))?;
    let runner = Runner::new(options.clone());
    let on_signal = runner.clone();
    std::thread::spawn(move || {
        wait_for(&shutdown);
        on_signal.kill();
        #[expect(clippy::exit, reason = "the other thread waits for requests or for a program")]
        std::process::exit(0);
    });
    let mut stdout = io::stdout();
    // Whoever started the service may have closed the pipe; it works all the same.
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    serve(&listener, &runner)
}

/// Serves requests one after the other.
pub fn serve(listener: &TcpListener, runner: &Runner) -> Result<(), Failure> {
    loop {
        match listener.accept() {
            // A client that fails has no effect on the next.
            Ok((client, _)) => drop(answer(client, runner)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(Failure::System("accept failed", error)),
        }
    }
}

fn answer(mut client: TcpStream, runner: &Runner) -> io::Result<()> {
    client.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    client.set_nodelay(true)?;
    let (status, body) = match path_of(&read_head(&mut client)?).as_deref() {
        Some("/run") => match runner.run() {
            Ok(run) => ("200 OK", run.to_string()),
            Err(error) => (
                "500 Internal Server Error",
                format!("failure cannot start it: {error}\n"),
            ),
        },
        Some(_) => ("200 OK", "ready\n".to_owned()),
        None => ("400 Bad Request", String::new()),
    };
    let length = body.len();
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    client.write_all(reply.as_bytes())
}

/// The head of a request.
fn read_head(client: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        match client.read(&mut piece)? {
            0 => break,
            length => head.extend_from_slice(&piece[..length]),
        }
    }
    Ok(head)
}

/// The path of a GET; `None`: not one.
fn path_of(head: &[u8]) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let is_whole = request.parse(head).is_ok_and(|parsed| parsed.is_complete());
    let path = request.path.filter(|_| request.method == Some("GET"))?;
    is_whole.then(|| path.to_owned())
}

/// Waits until a shutdown is started.
#[expect(unsafe_code, reason = "poll has no safe form in std")]
fn wait_for(shutdown: &Shutdown) {
    let mut fd = libc::pollfd {
        fd: shutdown.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `fd` is one valid pollfd that lives over the call.
    while unsafe { libc::poll(&raw mut fd, 1, -1) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_get_has_a_path() {
        assert_eq!(
            path_of(b"GET /run HTTP/1.1\r\nHost: x\r\n\r\n").as_deref(),
            Some("/run")
        );
        for bad in [
            &b"GET /run HTTP/1.1\r\n"[..],
            b"POST /run HTTP/1.1\r\n\r\n",
            b"",
            b"\0\0\r\n\r\n",
        ] {
            assert_eq!(path_of(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        let endless = vec![b'a'; 1 << 20];
        assert!(read_head(&mut endless.as_slice()).unwrap().len() <= MAX_HEAD + 1024);
    }
}
