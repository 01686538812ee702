//! The service's arguments, which are those of the program `workload`.

use std::net::SocketAddr;

/// Most letters in a reply of `tcp`; each form of the reply is kept in memory.
const MOST_TCP: usize = 1 << 20;
/// Most letters in a reply of `udp`: with the number's 8 bytes one frame of 1500 bytes, as Hermit does not fragment packets.
const MOST_UDP: usize = 1464;

/// The workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP.
    Tcp,
    /// UDP.
    Udp,
}

/// What to serve, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The workload.
    pub kind: Kind,
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// How often a reply repeats the letter A.
    pub reply_bytes: usize,
}

impl Arguments {
    /// Parses what follows `--` on Hermit's command line.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub fn of_process() -> Result<Self, String> {
        Self::parse(std::env::args())
    }

    /// Ignores everything before the workload's name.
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words.skip_while(|word| word != "tcp" && word != "udp");
        let kind = match words.next().as_deref() {
            Some("tcp") => Kind::Tcp,
            Some("udp") => Kind::Udp,
            _ => return Err("neither tcp nor udp follows `--` on the command line".into()),
        };
        let (mut listen, mut reply_bytes) = (None, 1000);
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, words.next()),
            };
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = |what: &str| format!("{name} {value}: {what}");
            match name.as_str() {
                "--listen" => listen = Some(value.parse().map_err(|_| wrong("not an address with a port"))?),
                "--reply-bytes" => reply_bytes = value.parse().map_err(|_| wrong("no number of letters"))?,
                "--sockets" if value == "1" => {}
                _ => {
                    return Err(wrong(
                        "this service supports --listen, --reply-bytes and one socket only",
                    ));
                }
            }
        }
        let most = if kind == Kind::Tcp { MOST_TCP } else { MOST_UDP };
        if reply_bytes > most {
            return Err(format!("--reply-bytes {reply_bytes}: at most {most} for this workload"));
        }
        Ok(Self {
            kind,
            listen: listen.ok_or("--listen with address and port is missing")?,
            reply_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_runners_arguments_are_parsed() {
        let tcp = parse("hermit tcp --listen 10.1.2.3:5000 --reply-bytes=5").unwrap();
        assert_eq!((tcp.kind, tcp.reply_bytes), (Kind::Tcp, 5));
        assert_eq!(tcp.listen, "10.1.2.3:5000".parse().unwrap());
        let udp = parse("udp --listen 10.1.2.3:5000 --sockets 1").unwrap();
        assert_eq!((udp.kind, udp.reply_bytes), (Kind::Udp, 1000));
    }

    #[test]
    fn unsupported_arguments_are_errors() {
        for (line, word) in [
            ("", "neither"),
            ("tcp", "--listen"),
            ("tcp --listen", "needs a value"),
            ("tcp --listen here", "not an address"),
            ("udp --listen 1.2.3.4:5 --sockets 2", "one socket"),
            ("udp --listen 1.2.3.4:5 --reply-bytes 1465", "1464"),
        ] {
            let wrong = parse(line).unwrap_err();
            assert!(wrong.contains(word), "{line}: {wrong}");
        }
    }
}
