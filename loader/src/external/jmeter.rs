//! Apache JMeter: its test plan and its JTL.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::outcome::External;
use super::program::{pinned, run};
use crate::Engine;
use crate::clock::nanos;
use crate::control::Control;
use crate::error::{ErrorKind, LoadError};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::target::Target;

/// How to install it.
pub const REMEDY: &str = "run from the project's folder, or set JUNG_JMETER to the path of deploy/jmeter/jmeter.sh";

/// A run of JMeter: a thread group that repeats one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JmeterPlan {
    /// Number of threads.
    pub threads: u32,
    /// Duration, including warm-up.
    pub duration: Duration,
    /// Think time after each reply.
    pub think: Duration,
    /// Whether a thread keeps its connection.
    pub keep_alive: bool,
    /// Time-out of connecting and of each reply.
    pub timeout: Duration,
}

impl JmeterPlan {
    /// The test plan for JMeter 5.6.
    #[must_use]
    pub fn jmx(&self, target: &Target) -> String {
        let text = |name: &str, value: &str| format!("<stringProp name=\"{name}\">{}</stringProp>", escaped(value));
        let flag = |name: &str, value: bool| format!("<boolProp name=\"{name}\">{value}</boolProp>");
        let timeout = self.timeout.as_millis().max(1).to_string();
        let group = [
            text("ThreadGroup.on_sample_error", "continue"),
            format!(
                "<elementProp name=\"ThreadGroup.main_controller\" elementType=\"LoopController\">{}<intProp name=\"LoopController.loops\">-1</intProp></elementProp>",
                flag("LoopController.continue_forever", false)
            ),
            text("ThreadGroup.num_threads", &self.threads.to_string()),
            text("ThreadGroup.ramp_time", "0"),
            flag("ThreadGroup.scheduler", true),
            text("ThreadGroup.duration", &self.duration.as_secs().max(1).to_string()),
            flag("ThreadGroup.same_user_on_next_iteration", true),
        ];
        let sampler = [
            text("HTTPSampler.domain", &target.address.ip().to_string()),
            text("HTTPSampler.port", &target.address.port().to_string()),
            text("HTTPSampler.protocol", "http"),
            text("HTTPSampler.path", &target.path),
            text("HTTPSampler.method", "GET"),
            flag("HTTPSampler.use_keepalive", self.keep_alive),
            text("HTTPSampler.implementation", "HttpClient4"),
            text("HTTPSampler.connect_timeout", &timeout),
            text("HTTPSampler.response_timeout", &timeout),
            "<elementProp name=\"HTTPsampler.Arguments\" elementType=\"Arguments\"><collectionProp name=\"Arguments.arguments\"/></elementProp>".to_owned(),
        ];
        let timer = if self.think.is_zero() {
            String::new()
        } else {
            let delay = text("ConstantTimer.delay", &self.think.as_millis().to_string());
            format!(
                "<ConstantTimer guiclass=\"ConstantTimerGui\" testclass=\"ConstantTimer\" testname=\"think\" enabled=\"true\">{delay}</ConstantTimer><hashTree/>"
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<jmeterTestPlan version=\"1.2\" properties=\"5.0\" jmeter=\"5.6.3\"><hashTree>\n\
             <TestPlan guiclass=\"TestPlanGui\" testclass=\"TestPlan\" testname=\"jung\" enabled=\"true\"/><hashTree>\n\
             <ThreadGroup guiclass=\"ThreadGroupGui\" testclass=\"ThreadGroup\" testname=\"Group\" enabled=\"true\">{}</ThreadGroup><hashTree>\n\
             <HTTPSamplerProxy guiclass=\"HttpTestSampleGui\" testclass=\"HTTPSamplerProxy\" testname=\"call\" enabled=\"true\">{}</HTTPSamplerProxy>\n\
             <hashTree>{timer}</hashTree>\n</hashTree></hashTree></hashTree></jmeterTestPlan>\n",
            group.concat(),
            sampler.concat(),
        )
    }
}

/// The engine `jmeter`: runs the program with `deploy/jmeter/jmeter.sh`.
#[derive(Debug, Clone)]
pub struct Jmeter {
    /// The run; its duration includes the warm-up.
    pub plan: JmeterPlan,
    /// Duration of the warm-up.
    pub warm_up: Duration,
    /// CPU affinity; empty: any CPU.
    pub cpus: Vec<usize>,
    /// The target of the requests.
    pub target: Target,
}

impl Engine for Jmeter {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let fail = |why: String| LoadError::Program {
            program: "jmeter".to_owned(),
            why,
        };
        let folder = tempfile::tempdir_in(control.scratch()).map_err(|error| fail(error.to_string()))?;
        let (plan, jtl) = (folder.path().join("plan.jmx"), folder.path().join("requests.jtl"));
        std::fs::write(&plan, self.plan.jmx(&self.target)).map_err(|error| fail(error.to_string()))?;
        let mut command = Command::new(script());
        command.arg("run").arg(&plan).arg(&jtl);
        run(pinned(command, &self.cpus), REMEDY, control)?;
        let file = std::fs::File::open(&jtl).map_err(|error| fail(error.to_string()))?;
        let samples = Samples::read(file, self.warm_up).map_err(fail)?;
        let external = External {
            program: "JMeter",
            absent: &["times below a millisecond", "its own lag"],
            requests: true,
            response_ns: None,
            report: String::new(),
        };
        let window = nanos(self.warm_up)..nanos(self.plan.duration);
        Ok(Outcome::of_requests(
            samples.requests,
            samples.origin_ms,
            window,
            &self.target,
            external,
        ))
    }
}

/// The script that runs JMeter: `JUNG_JMETER`, else that in the current directory, else that in the source tree of the build.
#[must_use]
pub fn script() -> PathBuf {
    const PATH: &str = "deploy/jmeter/jmeter.sh";
    let local = || Some(PathBuf::from(PATH)).filter(|path| path.is_file());
    let source = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/jmeter/jmeter.sh"));
    let configured = std::env::var_os("JUNG_JMETER").map(PathBuf::from);
    let script = configured.or_else(local).unwrap_or_else(source);
    std::path::absolute(&script).unwrap_or(script)
}

/// The requests in a JTL of JMeter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Wall-clock time of the first request, ms since 1970: the origin of all times.
    pub origin_ms: u64,
    /// The requests in file order. The scheduled time is the time sent, since JMeter does not report its lag. Times are whole milliseconds.
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
    latency_ms: u64,
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
                .ok_or_else(|| format!("JMeter's JTL has no column {name}"))?;
            row.get(*place)
                .ok_or_else(|| format!("a row of JMeter's JTL has no {name}"))
        };
        let number = |name: &str| {
            let text = field(name)?;
            text.parse::<u64>()
                .map_err(|_| format!("JMeter's JTL has an invalid {name}: {text:?}"))
        };
        let small = |name: &str| number(name).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let thread = field("threadName")?
            .rsplit('-')
            .next()
            .and_then(|n| n.parse::<u32>().ok());
        Ok(Self {
            start_ms: number("timeStamp")?,
            elapsed_ms: number("elapsed")?,
            latency_ms: number("Latency")?,
            connect_ms: number("Connect")?,
            code: field("responseCode")?.to_owned(),
            good: field("success")? == "true",
            thread: thread.unwrap_or(1),
            bytes_in: number("bytes")?,
            bytes_out: number("sentBytes")?,
            in_flight: small("allThreads")?,
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
            first_byte_ns: (self.latency_ms > 0 || self.good).then(|| at(self.latency_ms)),
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
        assert_eq!(
            Samples::read(JTL.lines().next().unwrap().as_bytes(), Duration::ZERO)
                .unwrap()
                .requests,
            []
        );
    }

    #[test]
    fn the_path_is_escaped_in_xml() {
        let target = Target {
            address: ([127, 0, 0, 1], 80).into(),
            path: "/?a=1&b=<2>".into(),
            expect: crate::Expect::ok(crate::BodyRule::Any),
        };
        let plan = JmeterPlan {
            threads: 3,
            duration: Duration::from_secs(5),
            think: Duration::from_millis(20),
            keep_alive: true,
            timeout: Duration::from_secs(2),
        };
        let jmx = plan.jmx(&target);
        assert!(
            jmx.contains("/?a=1&amp;b=&lt;2&gt;") && jmx.contains("ConstantTimer"),
            "{jmx}"
        );
    }
}
