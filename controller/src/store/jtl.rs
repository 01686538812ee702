//! `requests.jtl`: results as Apache JMeter 5.6 writes and reads them.
//!
//! The columns are JMeter's default ones in their fixed order; what JMeter has no column for follows as quoted user variables, which is
//! the only form of additional column that it accepts. One row a request, `\n` after each, UTF-8.
//!
//! | column | here |
//! |---|---|
//! | `timeStamp` | when the request was **due**, ms since 1970 (JMeter: the start of the sample) |
//! | `elapsed` | response time: from when it was due to its end, ms, rounded |
//! | `label` | `load/service` |
//! | `responseCode` | the HTTP status; empty without one |
//! | `responseMessage`, `failureMessage` | `OK` and nothing, or the kind of the failure |
//! | `threadName` | `Group <thread>-<connection>`, both counted from 1 |
//! | `bytes`, `sentBytes` | received and sent, headers included |
//! | `grpThreads`, `allThreads` | requests in flight when it ended, itself included |
//! | `Latency` | from when it was due to the first byte, ms, rounded; 0 if none came |
//! | `Connect` | from when it was begun to the connection, ms, rounded; 0 on an open one |
//! | `"intended_ns"` .. `"done_ns"` | the exact times, ns since the load's origin; empty: did not happen |

use std::io::{self, Write};

use super::request::RequestRecord;

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

/// What all rows of a file have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JtlContext {
    /// `load/service`.
    pub label: String,
    /// Where the requests went.
    pub url: String,
    /// The load's origin, ns since 1970.
    pub origin_epoch_ns: u64,
}

/// Writes rows; the writer below should be buffered.
#[derive(Debug)]
pub struct JtlWriter<W> {
    inner: W,
    label: String,
    url: String,
    origin_epoch_ns: u64,
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
            label: quoted(&context.label),
            url: quoted(&context.url),
            origin_epoch_ns: context.origin_epoch_ns,
        })
    }

    /// Writes one row; `in_flight` counts the requests in flight when this one ended.
    ///
    /// # Errors
    /// The writer's.
    pub fn row(&mut self, request: &RequestRecord, in_flight: u32) -> io::Result<()> {
        let error = request.error.as_deref();
        let stamp = (self.origin_epoch_ns + request.intended_ns) / 1_000_000;
        let first_byte = request
            .first_byte_ns
            .map_or(0, |at| at.saturating_sub(request.intended_ns));
        write!(self.inner, "{stamp},{},{},", millis(request.response_ns()), self.label)?;
        if request.status > 0 {
            write!(self.inner, "{}", request.status)?;
        }
        write!(
            self.inner,
            ",{},Group {}-{},text,{},{},{},{},{in_flight},{in_flight},{},{},0,{}",
            quoted(error.unwrap_or("OK")),
            u16::from(request.thread) + 1,
            u64::from(request.connection) + 1,
            error.is_none(),
            quoted(error.unwrap_or("")),
            request.bytes_in,
            request.bytes_out,
            self.url,
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

/// When requests began and ended, to tell how many were in flight at a moment.
#[derive(Debug)]
pub struct InFlight {
    begun: Vec<u64>,
    ended: Vec<u64>,
}

impl InFlight {
    /// Takes the times of all requests that were sent: 16 bytes each.
    pub fn of(requests: impl Iterator<Item = RequestRecord>) -> Self {
        let (mut begun, mut ended): (Vec<u64>, Vec<u64>) =
            requests.filter_map(|r| r.sent_ns.map(|sent| (sent, r.done_ns))).unzip();
        begun.sort_unstable();
        ended.sort_unstable();
        Self { begun, ended }
    }

    /// How many were in flight at a moment; one that ended just then counts.
    #[must_use]
    pub fn at(&self, ns: u64) -> u32 {
        let begun = self.begun.partition_point(|&at| at <= ns);
        let ended = self.ended.partition_point(|&at| at < ns);
        u32::try_from(begun.saturating_sub(ended)).unwrap_or(u32::MAX)
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
    fn rows_are_as_jmeter_has_them() {
        let context = JtlContext {
            label: "rate-500/tcp".into(),
            url: "http://10.0.0.2:8080/".into(),
            origin_epoch_ns: 1_795_312_800_000_000_000,
        };
        let mut writer = JtlWriter::new(Vec::new(), &context).unwrap();
        writer.row(&request(2_000_000), 3).unwrap();
        let mut failed = request(4_000_000);
        failed.error = Some("time,out \"x\"\n".into());
        failed.status = 0;
        failed.connected_ns = None;
        failed.first_byte_ns = None;
        writer.row(&failed, 1).unwrap();
        insta::assert_snapshot!(String::from_utf8(writer.into_inner()).unwrap(), @r#"
        timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect,"intended_ns","sent_ns","connected_ns","first_byte_ns","done_ns"
        1795312800002,2,rate-500/tcp,200,OK,Group 1-1,text,true,,1100,60,3,3,http://10.0.0.2:8080/,1,0,1,2000000,2010000,2600000,3000000,3600000
        1795312800004,2,rate-500/tcp,,"time,out ""x"" ",Group 1-1,text,false,"time,out ""x"" ",1100,60,1,1,http://10.0.0.2:8080/,0,0,0,4000000,4010000,,,5600000
        "#);
    }

    #[test]
    fn requests_in_flight_are_counted_at_their_ends() {
        let mut requests = [request(0), request(1_000_000), request(9_000_000)];
        requests[1].done_ns = 5_000_000;
        // The first ends at 1.6 ms when the second is on its way; the others end alone.
        let flight = InFlight::of(requests.iter().cloned());
        assert_eq!(
            requests.iter().map(|r| flight.at(r.done_ns)).collect::<Vec<_>>(),
            [2, 1, 1]
        );
    }
}
