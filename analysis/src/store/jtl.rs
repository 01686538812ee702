//! `requests.jtl`: results as Apache JMeter 5.6 writes and reads them.
//!
//! The columns are JMeter's default ones in their fixed order; what JMeter has no column for follows as quoted user variables, which is
//! the only form of additional column that it accepts. One row a request, `\n` after each, UTF-8.
//!
//! | column | here |
//! |---|---|
//! | `timeStamp` | when the request was **due**, ms since 1970 (JMeter: the start of the sample) |
//! | `elapsed` | response time: from when it was due to its end, ms, rounded |
//! | `label` | `load/service`, and `/call` where the load has several |
//! | `responseCode` | the HTTP status; empty without one |
//! | `responseMessage`, `failureMessage` | `OK` and nothing, or the kind of the failure |
//! | `threadName` | `Group <thread>-<connection>`, both counted from 1; of several loaders `<loader>-Group <thread>-<connection>` |
//! | `bytes`, `sentBytes` | received and sent, headers included |
//! | `grpThreads` | requests of its thread in flight when it ended, itself included |
//! | `allThreads` | the same of all threads; of the others as they were when each last ended a request |
//! | `Latency` | from when it was due to the first byte, ms, rounded; 0 if none came |
//! | `Connect` | from when it was begun to the connection, ms, rounded; 0 on an open one |
//! | `"intended_ns"` .. `"done_ns"` | the exact times, ns since the load's origin; empty: did not happen |

use std::io::{self, Write};

use loader::{ErrorKind, Label, Request};

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

/// Our own columns, behind JMeter's and in quotes.
pub const OWN_COLUMNS: [&str; 5] = ["intended_ns", "sent_ns", "connected_ns", "first_byte_ns", "done_ns"];

/// The first line, with its newline.
#[must_use]
pub fn header() -> String {
    let own = OWN_COLUMNS.map(|name| format!("\"{name}\""));
    format!("{},{}\n", JMETER_COLUMNS.join(","), own.join(","))
}

/// The most threads of a load.
const THREADS: usize = u8::MAX as usize + 1;

/// What the rows of a file have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JtlContext {
    /// `load/service`.
    pub label: String,
    /// What the requests are; each names its place in here.
    pub labels: Vec<Label>,
    /// The loaders and how many threads each had, in the threads' order; empty: the threads are the controller's.
    pub groups: Vec<(String, usize)>,
    /// The load's origin, ns since 1970.
    pub origin_epoch_ns: u64,
}

impl JtlContext {
    /// Label and address of each kind of request, as fields of CSV.
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

    /// What stands in front of the connection in the name of each thread.
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

/// Writes rows; the writer below should be buffered.
#[derive(Debug)]
pub struct JtlWriter<W> {
    inner: W,
    labels: Vec<(String, String)>,
    threads: Vec<String>,
    origin_epoch_ns: u64,
    /// Requests in flight in each thread after the last that ended there.
    in_flight: Vec<u32>,
    all_in_flight: u64,
}

impl<W: Write> JtlWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
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

    /// Counts a request that goes to another file, or that was written.
    pub fn pass(&mut self, request: &Request) {
        self.set_in_flight(request.thread, request.in_flight.saturating_sub(1));
    }

    /// Notes how many requests a thread has in flight; returns how many all have.
    fn set_in_flight(&mut self, thread: u8, count: u32) -> u64 {
        let place = &mut self.in_flight[usize::from(thread)];
        self.all_in_flight = self.all_in_flight - u64::from(*place) + u64::from(count);
        *place = count;
        self.all_in_flight
    }

    /// Writes one row; rows come in the order of their end.
    ///
    /// # Errors
    /// The writer's.
    pub fn row(&mut self, request: &Request) -> io::Result<()> {
        let all = self.set_in_flight(request.thread, request.in_flight);
        self.pass(request);
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

    /// The writer below, not flushed.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

/// Milliseconds, rounded to the nearest.
const fn millis(ns: u64) -> u64 {
    ns.saturating_add(500_000) / 1_000_000
}

/// A field of CSV: in quotes where it must be, without line breaks.
fn quoted(text: &str) -> String {
    let flat = text.replace(['\n', '\r'], " ");
    if flat.contains([',', '"']) {
        format!("\"{}\"", flat.replace('"', "\"\""))
    } else {
        flat
    }
}

#[cfg(test)]
mod tests {
    use super::super::jtl_reader::tests::request;
    use super::*;

    #[test]
    fn threads_of_several_loaders_bear_their_names() {
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
    fn rows_are_as_jmeter_has_them() {
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
    fn requests_in_flight_are_those_of_all_threads() {
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
        // Thread 0 has three, of which one ends; then thread 1 ends its only one, then thread 0 its second.
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
