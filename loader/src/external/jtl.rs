//! JTL files in CSV, as written by JMeter and by programs that can write the same.

use std::collections::HashMap;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::request::Request;

/// The requests in a JTL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Wall-clock time of the first request, ms since 1970: the origin of all times.
    pub origin_ms: u64,
    /// The requests in file order. The scheduled time is the time sent, since JMeter does not record its lag. Times are whole milliseconds.
    pub requests: Vec<Request>,
}

impl Samples {
    /// Parses a JTL in CSV; requests that started within the first `warm_up` are warm-up.
    ///
    /// # Errors
    /// The missing or invalid part.
    pub fn read(jtl: impl std::io::Read, warm_up: Duration) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(jtl);
        let header = reader.headers().map_err(|e| e.to_string())?.clone();
        let columns: HashMap<&str, usize> = header.iter().enumerate().map(|(place, name)| (name, place)).collect();
        let mut rows = Vec::new();
        for row in reader.records() {
            rows.push(Row::read(&row.map_err(|e| e.to_string())?, &columns)?);
        }
        let origin_ms = rows.iter().map(|row| row.start_ms).min().unwrap_or(0);
        let warm_up_ms = u64::try_from(warm_up.as_millis()).unwrap_or(u64::MAX);
        let requests = rows.iter().map(|row| row.request(origin_ms, warm_up_ms));
        Ok(Self {
            origin_ms,
            requests: requests.collect(),
        })
    }
}

/// A row of the JTL.
#[derive(Debug)]
struct Row {
    start_ms: u64,
    elapsed_ms: u64,
    latency_ms: Option<u64>,
    connect_ms: u64,
    code: String,
    good: bool,
    thread: u32,
    bytes_in: u64,
    bytes_out: u64,
    in_flight: u32,
}

impl Row {
    fn read(row: &csv::StringRecord, columns: &HashMap<&str, usize>) -> Result<Self, String> {
        let field = |name: &str| {
            let place = columns
                .get(name)
                .ok_or_else(|| format!("the JTL has no column {name}"))?;
            row.get(*place).ok_or_else(|| format!("a row of the JTL has no {name}"))
        };
        let number = |name: &str| {
            let text = field(name)?;
            text.parse::<u64>()
                .map_err(|_| format!("the JTL has an invalid {name}: {text:?}"))
        };
        let optional = |name: &str| {
            if columns.contains_key(name) {
                number(name).map(Some)
            } else {
                Ok(None)
            }
        };
        let thread = field("threadName")
            .ok()
            .and_then(|name| name.rsplit('-').next()?.parse().ok());
        Ok(Self {
            start_ms: number("timeStamp")?,
            elapsed_ms: number("elapsed")?,
            latency_ms: optional("Latency")?,
            connect_ms: optional("Connect")?.unwrap_or(0),
            code: field("responseCode")?.to_owned(),
            good: field("success")? == "true",
            thread: thread.unwrap_or(1),
            bytes_in: optional("bytes")?.unwrap_or(0),
            bytes_out: optional("sentBytes")?.unwrap_or(0),
            in_flight: optional("allThreads")?.map_or(0, |threads| u32::try_from(threads).unwrap_or(u32::MAX)),
        })
    }

    fn request(&self, origin_ms: u64, warm_up_ms: u64) -> Request {
        const MS: u64 = 1_000_000;
        let start_ms = self.start_ms - origin_ms;
        let at = |ms: u64| start_ms.saturating_add(ms).saturating_mul(MS);
        let error = (!self.good).then(|| kind(&self.code));
        Request {
            intended_ns: at(0),
            sent_ns: Some(at(0)),
            connected_ns: (self.connect_ms > 0).then(|| at(self.connect_ms)),
            first_byte_ns: self.latency_ms.filter(|&ms| ms > 0 || self.good).map(at),
            done_ns: at(self.elapsed_ms),
            label: 0,
            status: self.code.parse().unwrap_or(0),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            connection: self.thread.saturating_sub(1),
            thread: 0,
            in_flight: self.in_flight,
            error,
            warm_up: start_ms < warm_up_ms,
        }
    }
}

/// The error kind of JMeter's `responseCode`.
fn kind(code: &str) -> ErrorKind {
    let table = [
        ("ConnectTimeout", ErrorKind::ConnectTimeout),
        ("SocketTimeout", ErrorKind::Timeout),
        ("Connection refused", ErrorKind::ConnectRefused),
        ("HttpHostConnect", ErrorKind::ConnectRefused),
        ("NoRouteToHost", ErrorKind::Unreachable),
        ("NoHttpResponse", ErrorKind::ClosedEarly),
        ("ConnectionClosed", ErrorKind::ShortBody),
        ("BindException", ErrorKind::AddressExhausted),
        ("SocketException", ErrorKind::Reset),
    ];
    let found = table.iter().find(|(word, _)| code.contains(word));
    match found {
        Some((_, kind)) => *kind,
        None if code.parse::<u16>().is_ok() => ErrorKind::WrongStatus,
        None => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JTL: &str = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect
1000,3,call,200,OK,Group 1-2,text,true,,1150,120,2,2,http://127.0.0.1/,2,0,1
1005,2000,call,Non HTTP response code: java.net.SocketTimeoutException,\"Read, timed out\",Group 1-1,text,false,,0,0,2,2,http://127.0.0.1/,0,0,0
";

    #[test]
    fn rows_are_parsed_as_requests() {
        let samples = Samples::read(JTL.as_bytes(), Duration::from_millis(5)).unwrap();
        assert_eq!((samples.origin_ms, samples.requests.len()), (1000, 2));
        let (first, second) = (samples.requests[0], samples.requests[1]);
        assert_eq!(
            (first.response_ns(), first.connect_ns(), first.status),
            (3_000_000, Some(1_000_000), 200)
        );
        assert!(first.warm_up && !second.warm_up);
        assert_eq!(
            (second.error, second.status, second.first_byte_ns),
            (Some(ErrorKind::Timeout), 0, None)
        );
        assert_eq!(first.connection, 1);
    }

    #[test]
    fn an_invalid_file_is_refused_with_the_reason() {
        assert!(
            Samples::read(b"a,b\n1,2\n".as_slice(), Duration::ZERO)
                .unwrap_err()
                .contains("no column")
        );
        let bad = JTL.replace("1005,2000", "1005,soon");
        assert!(
            Samples::read(bad.as_bytes(), Duration::ZERO)
                .unwrap_err()
                .contains("soon")
        );
        let short = "timeStamp,elapsed,responseCode,success\n1000,3,200,true\n";
        let request = Samples::read(short.as_bytes(), Duration::ZERO).unwrap().requests[0];
        assert_eq!(
            (request.done_ns, request.first_byte_ns, request.error),
            (3_000_000, None, None)
        );
        assert_eq!(
            Samples::read(JTL.lines().next().unwrap().as_bytes(), Duration::ZERO)
                .unwrap()
                .requests,
            []
        );
    }
}
