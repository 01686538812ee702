//! `requests.jtl`: requests in the format of Apache JMeter 5.6.
//!
//! JMeter's default columns in their fixed order, then Jung's columns as quoted user variables, the only form of additional column that
//! JMeter accepts. One row per request, `
//! ` after each, UTF-8.
//!
//! | column | content |
//! |---|---|
//! | `timeStamp` | **scheduled** time of the request, ms since 1970 (JMeter: the start of the sample) |
//! | `elapsed` | response time: from the scheduled time to the end, ms, rounded |
//! | `label` | `load/service`, and `/call` if the load has several |
//! | `responseCode` | HTTP status; empty without one |
//! | `responseMessage`, `failureMessage` | `OK` and nothing, or the kind of failure |
//! | `threadName` | `Group <thread>-<connection>`, from 1; with several loaders `<loader>-Group <thread>-<connection>` |
//! | `bytes`, `sentBytes` | received and sent, including headers |
//! | `grpThreads` | requests of its thread in flight when it ended, including itself |
//! | `allThreads` | the same over all threads; for the other threads, as of when each last ended a request |
//! | `Latency` | from the scheduled time to the first byte, ms, rounded; 0: no byte arrived |
//! | `Connect` | from the send to the established connection, ms, rounded; 0: it was already open |
//! | `"intended_ns"` .. `"done_ns"` | exact times, ns since the load's origin; empty: did not happen |

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use loader::{ErrorKind, Label, Request};

use super::error::{At, StoreError};

/// JMeter's default columns, in the only order that it accepts.
pub const JMETER_COLUMNS: [&str; 17] = [
    "timeStamp",
    "elapsed",
    "label",
    "responseCode",
    "responseMessage",
    "threadName",
    "dataType",
    "success",
    "failureMessage",
    "bytes",
    "sentBytes",
    "grpThreads",
    "allThreads",
    "URL",
    "Latency",
    "IdleTime",
    "Connect",
];

/// Jung's own columns, after JMeter's and quoted.
pub const OWN_COLUMNS: [&str; 5] = ["intended_ns", "sent_ns", "connected_ns", "first_byte_ns", "done_ns"];

/// The header line, with its newline.
#[must_use]
pub fn header() -> String {
    let own = OWN_COLUMNS.map(|name| format!("\"{name}\""));
    format!("{},{}\n", JMETER_COLUMNS.join(","), own.join(","))
}

/// Maximum number of threads of a load.
const THREADS: usize = u8::MAX as usize + 1;

/// What all rows of a file share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JtlContext {
    /// `load/service`.
    pub label: String,
    /// The request labels; a request refers to one by index.
    pub labels: Vec<Label>,
    /// Loaders with their thread counts, in the order of the threads; empty: the threads are the controller's.
    pub groups: Vec<(String, usize)>,
    /// The load's origin, ns since 1970.
    pub origin_epoch_ns: u64,
}

impl JtlContext {
    /// Label and URL of each kind of request, as CSV fields.
    fn fields(&self) -> Vec<(String, String)> {
        let fields = |label: &Label| {
            let name = match label.name.as_str() {
                "" => self.label.clone(),
                name => format!("{}/{}", self.label, name.trim_start_matches('/')),
            };
            (quoted(&name), quoted(&label.url))
        };
        self.labels.iter().map(fields).collect()
    }

    /// Thread names, without the connection.
    fn threads(&self) -> Vec<String> {
        if self.groups.is_empty() {
            return (1..=THREADS).map(|thread| format!("Group {thread}")).collect();
        }
        let groups = self.groups.iter();
        let names = groups.flat_map(|(loader, threads)| {
            (1..=(*threads).min(THREADS)).map(move |thread| format!("{loader}-Group {thread}"))
        });
        names.take(THREADS).collect()
    }
}

/// Writes rows; the inner writer should be buffered.
#[derive(Debug)]
pub struct JtlWriter<W> {
    inner: W,
    labels: Vec<(String, String)>,
    threads: Vec<String>,
    origin_epoch_ns: u64,
    /// Requests in flight per thread, after the last that ended there.
    in_flight: Vec<u32>,
    all_in_flight: u64,
}

impl<W: Write> JtlWriter<W> {
    /// Writes the header.
    ///
    /// Those of the inner writer.
    /// The writer's.
    pub fn new(mut inner: W, context: &JtlContext) -> io::Result<Self> {
        inner.write_all(header().as_bytes())?;
        Ok(Self {
            inner,
            labels: context.fields(),
            threads: context.threads(),
            origin_epoch_ns: context.origin_epoch_ns,
            in_flight: vec![0; THREADS],
            all_in_flight: 0,
        })
    }

    /// Updates the in-flight counts for a request that is written elsewhere.
    pub fn count_in_flight(&mut self, request: &Request) {
        self.set_in_flight(request.thread, request.in_flight.saturating_sub(1));
    }

    /// Sets the in-flight count of a thread; returns the total over all threads.
    fn set_in_flight(&mut self, thread: u8, count: u32) -> u64 {
        let current = &mut self.in_flight[usize::from(thread)];
        self.all_in_flight = self.all_in_flight - u64::from(*current) + u64::from(count);
        *current = count;
        self.all_in_flight
    }

    /// Writes one row; rows must be ordered by completion.
    ///
    /// # Errors
    /// Those of the inner writer.
    pub fn row(&mut self, request: &Request) -> io::Result<()> {
        let all = self.set_in_flight(request.thread, request.in_flight);
        self.count_in_flight(request);
        let error = request.error.map(ErrorKind::name);
        let (label, url) = self
            .labels
            .get(usize::from(request.label))
            .map_or(("", ""), |(label, url)| (label, url));
        let stamp = (self.origin_epoch_ns + request.intended_ns) / 1_000_000;
        let first_byte = request
            .first_byte_ns
            .map_or(0, |at| at.saturating_sub(request.intended_ns));
        write!(self.inner, "{stamp},{},{label},", millis(request.response_ns()))?;
        if request.status > 0 {
            write!(self.inner, "{}", request.status)?;
        }
        write!(
            self.inner,
            ",{},{}-{},text,{},{},{},{},{},{all},{url},{},0,{}",
            error.unwrap_or("OK"),
            self.threads
                .get(usize::from(request.thread))
                .map_or("Group", String::as_str),
            u64::from(request.connection) + 1,
            error.is_none(),
            error.unwrap_or(""),
            request.bytes_in,
            request.bytes_out,
            request.in_flight,
            millis(first_byte),
            millis(request.connect_ns().unwrap_or(0)),
        )?;
        let times = [
            request.sent_ns,
            request.connected_ns,
            request.first_byte_ns,
            Some(request.done_ns),
        ];
        write!(self.inner, ",{}", request.intended_ns)?;
        for time in times {
            match time {
                Some(ns) => write!(self.inner, ",{ns}")?,
                None => self.inner.write_all(b",")?,
            }
        }
        self.inner.write_all(b"\n")
    }

    /// The inner writer, not flushed.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

/// Milliseconds, rounded to nearest.
const fn millis(ns: u64) -> u64 {
    ns.saturating_add(500_000) / 1_000_000
}

/// A CSV field: quoted if necessary, without line breaks.
fn quoted(text: &str) -> String {
    let flat = text.replace(['\n', '\r'], " ");
    if flat.contains([',', '"']) {
        format!("\"{}\"", flat.replace('"', "\"\""))
    } else {
        flat
    }
}

/// Reads the rows of a file, one line at a time.
#[derive(Debug)]
pub struct JtlReader<R> {
    input: R,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
    labels: Vec<String>,
}

impl JtlReader<BufReader<File>> {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Malformed`] if the header is not Jung's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).at(path, "open")?;
        Self::new(BufReader::with_capacity(1 << 18, file), path)
    }
}

impl<R: BufRead> JtlReader<R> {
    /// Checks the header of `input`; `path` is used in messages.
    ///
    /// # Errors
    /// As [`JtlReader::open`].
    pub fn new(input: R, path: &Path) -> Result<Self, StoreError> {
        let mut reader = Self {
            input,
            path: path.to_owned(),
            line: Vec::new(),
            number: 0,
            labels: Vec::new(),
        };
        reader.advance()?;
        if reader.line != header().as_bytes() {
            return Err(StoreError::malformed(path, 1, "unexpected header"));
        }
        Ok(reader)
    }

    /// The next row; `None` at the end. A file does not record whether its rows belong to the warm-up: `warm_up` is always false.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Malformed`] for a truncated or invalid row.
    pub fn next_row(&mut self) -> Result<Option<Request>, StoreError> {
        if !self.advance()? {
            return Ok(None);
        }
        let row = parse(&self.line, &mut self.labels);
        row.map(Some)
            .ok_or_else(|| StoreError::malformed(&self.path, self.number, "invalid row: expected 22 fields"))
    }

    /// The labels of the rows read so far, by index.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    fn advance(&mut self) -> Result<bool, StoreError> {
        self.line.clear();
        self.number += 1;
        let read = self.input.read_until(b'\n', &mut self.line).at(&self.path, "read")?;
        if read > 0 && !self.line.ends_with(b"\n") {
            return Err(StoreError::malformed(
                &self.path,
                self.number,
                "the last line is truncated",
            ));
        }
        Ok(read > 0)
    }
}

/// Thread and connection of `Group <thread>-<connection>`, which may have the prefix `<loader>-`.
fn thread_name(text: &str) -> Option<(&str, &str)> {
    let (loader, numbers) = text.rsplit_once("Group ")?;
    let is_name = |name: &str| name.parse::<protocol::Name>().is_ok();
    if !loader.is_empty() && !loader.strip_suffix('-').is_some_and(is_name) {
        return None;
    }
    numbers.split_once('-')
}

/// Parses a line with its newline; `None` if it is invalid. Adds its label to `labels` if it is new.
fn parse(line: &[u8], labels: &mut Vec<String>) -> Option<Request> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut fields: [&str; 22] = [""; 22];
    let mut rest = Some(text);
    for field in &mut fields {
        let (first, after) = split_field(rest?)?;
        *field = first;
        rest = after;
    }
    if rest.is_some() {
        return None;
    }
    let number = |i: usize| fields[i].parse::<u64>().ok();
    let maybe = |i: usize| {
        if fields[i].is_empty() {
            Some(None)
        } else {
            number(i).map(Some)
        }
    };
    let error = match fields[7] {
        "true" => None,
        "false" => Some(ErrorKind::from_name(fields[8])?),
        _ => return None,
    };
    let (thread, connection) = thread_name(fields[5])?;
    for unused in [0, 1, 12, 14, 15, 16] {
        number(unused)?;
    }
    Some(Request {
        intended_ns: number(17)?,
        sent_ns: maybe(18)?,
        connected_ns: maybe(19)?,
        first_byte_ns: maybe(20)?,
        done_ns: number(21)?,
        label: place(labels, fields[2])?,
        status: if fields[3].is_empty() {
            0
        } else {
            fields[3].parse().ok()?
        },
        bytes_in: number(9)?,
        bytes_out: number(10)?,
        thread: u8::try_from(thread.parse::<u16>().ok()?.checked_sub(1)?).ok()?,
        connection: u32::try_from(connection.parse::<u64>().ok()?.checked_sub(1)?).ok()?,
        in_flight: u32::try_from(number(11)?).ok()?,
        error,
        warm_up: false,
    })
}

/// The index of a label, which is added if it is new; `None` if there are too many.
fn place(labels: &mut Vec<String>, label: &str) -> Option<u16> {
    let place = labels.iter().position(|known| known == label).unwrap_or_else(|| {
        labels.push(label.to_owned());
        labels.len() - 1
    });
    u16::try_from(place).ok()
}

/// The first field without quotes (doubled quotes inside are kept), and the text after its comma.
fn split_field(text: &str) -> Option<(&str, Option<&str>)> {
    let Some(inner) = text.strip_prefix('"') else {
        return Some(
            text.split_once(',')
                .map_or((text, None), |(first, rest)| (first, Some(rest))),
        );
    };
    let bytes = inner.as_bytes();
    let mut at = 0;
    loop {
        at += inner.get(at..)?.find('"')?;
        match bytes.get(at + 1) {
            Some(b'"') => at += 2,
            Some(b',') => return Some((&inner[..at], Some(&inner[at + 2..]))),
            None => return Some((&inner[..at], None)),
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use loader::arbitrary::requests;
    use proptest::prelude::*;

    /// A successful request with this scheduled time that took 1.6 ms.
    pub fn request(intended_ns: u64) -> Request {
        Request {
            intended_ns,
            sent_ns: Some(intended_ns + 10_000),
            connected_ns: Some(intended_ns + 600_000),
            first_byte_ns: Some(intended_ns + 1_000_000),
            done_ns: intended_ns + 1_600_000,
            label: 0,
            status: 200,
            bytes_in: 1100,
            bytes_out: 60,
            thread: 0,
            connection: 0,
            in_flight: 1,
            error: None,
            warm_up: false,
        }
    }

    fn written(requests: &[Request], label: &str) -> Vec<u8> {
        let context = JtlContext {
            groups: Vec::new(),
            label: "l".into(),
            labels: vec![Label {
                name: label.into(),
                url: "http://[::1]:80/".into(),
            }],
            origin_epoch_ns: 5_000_000,
        };
        let mut writer = JtlWriter::new(Vec::new(), &context).unwrap();
        for request in requests {
            writer.row(request).unwrap();
        }
        writer.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Request>, StoreError> {
        let mut reader = JtlReader::new(bytes, Path::new("x.jtl"))?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            rows.push(row);
        }
        Ok(rows)
    }

    #[test]
    fn a_truncated_line_is_an_error_with_its_number() {
        let bytes = written(&[request(0), request(9)], "l");
        let error = read(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
        assert!(error.starts_with("x.jtl:3: the last line is truncated"), "{error}");
        let fewer = String::from_utf8(bytes).unwrap().replacen(",text,", ",", 1);
        assert!(read(fewer.as_bytes()).unwrap_err().to_string().contains("x.jtl:2:"));
    }

    #[test]
    fn thread_names_with_and_without_loader_are_read() {
        let text = String::from_utf8(written(&[request(0)], "l")).unwrap();
        let named = |name: &str| text.replace("Group 1-1", name);
        for (name, place) in [("Group 3-2", (2, 1)), ("lab-2-Group 3-2", (2, 1))] {
            let row = read(named(name).as_bytes()).unwrap()[0];
            assert_eq!((row.thread, row.connection), place, "{name}");
        }
        for bad in [
            "-Group 1-1",
            "A-Group 1-1",
            "lab-2Group 1-1",
            "lab-2-Group 1",
            "Group 0-1",
        ] {
            assert!(read(named(bad).as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_header_is_an_error() {
        assert!(read(b"timeStamp,elapsed\n").is_err());
        assert!(read(b"").is_err());
    }

    proptest! {
        #[test]
        fn requests_survive_the_round_trip(all in proptest::collection::vec(requests(), 0..20), label in ".{0,20}") {
            // The warm-up flag is not stored, and this file has one label.
            let all: Vec<_> = all.into_iter().map(|r| Request { label: 0, warm_up: false, ..r }).collect();
            prop_assert_eq!(read(&written(&all, &label)).unwrap(), all);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = header().into_bytes();
            file.extend(bytes);
            let _ = read(&file);
        }
    }

    #[test]
    fn thread_names_contain_the_loader() {
        let context = JtlContext {
            groups: vec![("lab-2".into(), 2), ("lab-3".into(), 1)],
            label: "l".into(),
            labels: Vec::new(),
            origin_epoch_ns: 0,
        };
        let mut writer = JtlWriter::new(Vec::new(), &context).unwrap();
        for thread in [1, 2] {
            writer.row(&Request { thread, ..request(0) }).unwrap();
        }
        let text = String::from_utf8(writer.into_inner()).unwrap();
        let names: Vec<_> = text.lines().skip(1).map(|row| row.split(',').nth(5)).collect();
        assert_eq!(names, [Some("lab-2-Group 2-1"), Some("lab-3-Group 1-1")]);
    }

    #[test]
    fn rows_match_jmeters_format() {
        let label = |name: &str, url: &str| Label {
            name: name.into(),
            url: url.into(),
        };
        let context = JtlContext {
            groups: Vec::new(),
            label: "users-2/tcp".into(),
            labels: vec![
                label("", "http://10.0.0.2:8080/"),
                label("/log,in \"x\"", "http://10.0.0.2:8080/login"),
            ],
            origin_epoch_ns: 1_795_312_800_000_000_000,
        };
        let mut writer = JtlWriter::new(Vec::new(), &context).unwrap();
        writer.row(&request(2_000_000)).unwrap();
        let failed = Request {
            error: Some(ErrorKind::Timeout),
            label: 1,
            status: 0,
            connected_ns: None,
            first_byte_ns: None,
            ..request(4_000_000)
        };
        writer.row(&failed).unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        insta::assert_snapshot!(text, @r#"
        timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect,"intended_ns","sent_ns","connected_ns","first_byte_ns","done_ns"
        1795312800002,2,users-2/tcp,200,OK,Group 1-1,text,true,,1100,60,1,1,http://10.0.0.2:8080/,1,0,1,2000000,2010000,2600000,3000000,3600000
        1795312800004,2,"users-2/tcp/log,in ""x""",,timeout,Group 1-1,text,false,timeout,1100,60,1,1,http://10.0.0.2:8080/login,0,0,0,4000000,4010000,,,5600000
        "#);
    }

    #[test]
    fn in_flight_counts_cover_all_threads() {
        let context = JtlContext {
            groups: Vec::new(),
            label: "l".into(),
            labels: vec![],
            origin_epoch_ns: 0,
        };
        let mut writer = JtlWriter::new(Vec::new(), &context).unwrap();
        let of = |thread, in_flight| Request {
            thread,
            in_flight,
            ..request(0)
        };
        // Thread 0 has three in flight and ends one; then thread 1 ends its only one, then thread 0 its second.
        let rows = [of(0, 3), of(1, 1), of(0, 2)];
        rows.iter().for_each(|row| writer.row(row).unwrap());
        let text = String::from_utf8(writer.into_inner()).unwrap();
        let counts: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').skip(11).take(2).collect::<Vec<_>>().join("/"))
            .collect();
        assert_eq!(counts, ["3/3", "1/3", "2/2"]);
    }
}
