//! Apache JMeter: its test plan and its JTL.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::jtl::Samples;
use super::outcome::External;
use super::program::{pinned, run};
use crate::Engine;
use crate::clock::nanos;
use crate::control::Control;
use crate::error::LoadError;
use crate::outcome::Outcome;
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
            program: "JMeter".to_owned(),
            absent: &["times below a millisecond", "its own lag"],
            requests: true,
            counts: true,
            ..External::default()
        };
        let window = nanos(self.warm_up)..nanos(self.plan.duration);
        Ok(Outcome::of_requests(
            samples.requests,
            samples.origin_ms,
            window,
            self.target.url(),
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

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
