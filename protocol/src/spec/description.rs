//! The description of a service: once for every platform.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{AbsolutePath, EnvName, ImageName, ProgramPath, RelativePath, UserName};
use super::platform::PlatformKind;
use super::probe::{CommandProbe, Probe, Readiness};
use super::template::{Parameter, ParameterName, Template, UnknownPlaceholder, Values, is_plain};
use crate::load::{Method, Transport};
use crate::toml::did_you_mean;

/// A service as its description defines it: a form for each kind of platform, and what they have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDescription {
    /// What it speaks: the loads that can be sent to it.
    #[serde(default)]
    pub protocol: Transport,
    /// The declared parameters with their defaults. [`PORT`] is the port that the service listens on; without it, it does not listen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<ParameterName, Parameter>,
    /// Its files, in a directory of its own, `{dir}`, which is fresh in every deployment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ServiceFile>,
    /// As a process of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeForm>,
    /// As a container; `None`: in a container with the native program and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerForm>,
    /// In a guest; `None`: the native program with what it needs. With it, the service may also be part of the guest's own image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestForm>,
    /// With it, the program is a task: it runs to its end, and is started again for each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskForm>,
    /// What proves that it is ready.
    pub ready: Readiness,
    /// How it is filled with data once it replies, before READY.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seed: Vec<SeedStep>,
}

/// What is expected of each run of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskForm {
    /// The exit code of success.
    #[serde(default)]
    pub exit_code: u8,
    /// Its standard output without the last newline; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
}

/// The port on which a task's runs are ordered, unless its description declares the parameter [`PORT`].
pub const TASK_PORT: u16 = 8080;

/// A step of filling a service with data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedStep {
    /// A program of the target host, which must exit with 0.
    Command(CommandProbe),
    /// A request, which must be answered with its status.
    Http(HttpSeed),
    /// A key space of Redis.
    Redis(RedisSeed),
}

/// A request, sent so many times, with `{index}` from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSeed {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: Template,
    /// The body.
    pub body: Template,
    /// The expected status.
    pub status: u16,
    /// How often it is sent.
    pub times: Template,
}

/// A key space of Redis: keys are the prefix and twelve digits from zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSeed {
    /// How many keys.
    pub keys: Template,
    /// The length of each value, bytes.
    pub value_bytes: Template,
    /// What keys begin with.
    pub prefix: String,
}

/// The placeholder of a request's number in [`SeedStep::Http`].
pub const INDEX: &str = "index";

/// The parameter that is the service's port.
pub const PORT: &str = "port";

/// Placeholders that are no parameters: the address and port to listen on (`{listen}` is both), the directory of its files, its name, and the number of
/// a request.
pub const RESERVED: [&str; 5] = ["listen", "address", "dir", "service", INDEX];

/// A file of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// Its path in the service's directory.
    pub path: RelativePath,
    /// What it contains.
    pub content: FileContent,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub executable: bool,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent {
    /// A text with placeholders.
    Text(Template),
    /// So many bytes.
    Generated(GeneratedContent),
    /// A copy of a file beside the description, which must be one of the target host.
    Copied(RelativePath),
}

/// Generated content, the same in every deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedContent {
    /// Its length: bytes, or a size such as `64KiB`.
    pub bytes: Template,
    /// What is repeated.
    #[serde(default)]
    pub fill: Fill,
}

/// What generated content consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// The letter `A`, as in the replies of this project's own services.
    #[default]
    Letters,
    /// Pseudo-random bytes, which cannot be compressed; the same for the same length.
    Random,
}

/// A service as a process of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeForm {
    /// Its program, which must stay in the foreground.
    pub program: ProgramPath,
    /// Its arguments, passed as they are: no shell parses them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Template>,
    /// Its environment besides `PATH`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<EnvName, Template>,
    /// The user of the host that it runs as; `None`: the runner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Its working directory; `None`: that of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Template>,
    /// Files and folders of the host that it opens besides its libraries, for roots that are built of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<AbsolutePath>,
}

/// A service in a guest, where it differs from the native form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestForm {
    /// A root file system beside the description, for guests whose image is built; `None`: the native program with what it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RelativePath>,
    /// The program in that root; `None`: the native program's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<AbsolutePath>,
    /// Its arguments; `None`: those of the native program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Template>>,
}

/// A service as a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerForm {
    /// Its image.
    pub image: ImageSource,
    /// What replaces the image's entry point; `None`: it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<Template>>,
    /// What replaces the image's command; `None`: it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Template>>,
    /// Its environment besides the image's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<EnvName, Template>,
    /// The user of the image that it runs as; `None`: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// The port on which it listens in the container; `None`: the parameter [`PORT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its working directory; `None`: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Template>,
    /// Files and folders of its directory that are mounted elsewhere too: path in the container, path in the directory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<AbsolutePath, RelativePath>,
}

/// Where a container's image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// A registry, or the engine's store.
    Named(NamedImage),
    /// A file beside the description, as `docker save` writes it.
    Archive(RelativePath),
    /// A folder beside the description: with a Dockerfile, or a root file system.
    Folder(RelativePath),
    /// The program of the native form with what it needs, and nothing else.
    Program(ProgramImage),
}

/// An image by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedImage {
    /// Its name, with tag or digest.
    pub name: ImageName,
    /// When it is pulled.
    #[serde(default)]
    pub pull: Pull,
}

/// The body of [`ImageSource::Program`]: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramImage {}

/// When an image is pulled from its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// If the engine does not have it.
    #[default]
    Missing,
    /// Before every deployment: a tag may have moved.
    Always,
    /// Never.
    Never,
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl ServiceDescription {
    /// The values of all parameters: the defaults with `settings` over them.
    ///
    /// # Errors
    /// Every parameter that does not exist, is of another kind than its default, or could inject something.
    pub fn values(&self, settings: &BTreeMap<ParameterName, Parameter>) -> Result<Values, Vec<String>> {
        let mut problems: Vec<String> = Vec::new();
        for (name, value) in settings {
            let fault = match self.parameters.get(name) {
                None => self.undeclared(name),
                Some(default) if !default.is_like(value) => format!("it is {}", default.kind()),
                Some(_) => continue,
            };
            problems.push(format!("parameter {name} = {value}: {fault}"));
        }
        let mut values = Values::default();
        for (name, default) in &self.parameters {
            let value = settings.get(name).unwrap_or(default);
            let is_text = matches!(value, Parameter::Text(_));
            if is_text && !is_plain(&value.to_string()) {
                problems.push(format!(
                    "parameter {name} = {value:?}: a value has 1 to 200 letters, digits and ._:/@%+,=- (and no ..), so that it changes nothing else"
                ));
            }
            values.set_parameter(name, value);
        }
        if let Err(fault) = Self::port_of(&values) {
            problems.push(fault);
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    fn undeclared(&self, name: &ParameterName) -> String {
        let known = || self.parameters.keys().map(ParameterName::as_str);
        match did_you_mean(name.as_str(), known()) {
            Some(word) => format!("there is no such parameter, did you mean {word}?"),
            None if self.parameters.is_empty() => "the description declares no parameters".to_owned(),
            None => {
                let all: Vec<_> = known().collect();
                format!("there is no such parameter, there are {}", all.join(", "))
            }
        }
    }

    /// The port among the values of parameters; `None`: the service does not listen.
    ///
    /// # Errors
    /// It is not a port.
    pub fn port_of(values: &Values) -> Result<Option<u16>, String> {
        let Ok(text) = values.get(PORT) else { return Ok(None) };
        match text.parse() {
            Ok(port @ 1..) => Ok(Some(port)),
            _ => Err(format!("parameter {PORT} = {text}: a port is 1 to 65535")),
        }
    }

    /// Every placeholder without a value, with the place where it is.
    #[must_use]
    pub fn unknown_placeholders(&self) -> Vec<(String, UnknownPlaceholder)> {
        let mut values = Values::default();
        for name in self.parameters.keys() {
            values.set(name.as_str(), "");
        }
        for name in RESERVED {
            let is_of_port = ["listen", "address"].contains(&name);
            if name != INDEX && (!is_of_port || self.listens()) {
                values.set(name, "");
            }
        }
        if !self.seed.is_empty() {
            values.set(INDEX, "");
        }
        let unknown = |(place, template): (String, &Template)| Some((place, template.check(&values).err()?));
        self.templates().into_iter().filter_map(unknown).collect()
    }

    /// Whether it has a port.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.parameters.keys().any(|name| name.as_str() == PORT)
    }

    /// All its templates, with the place of each.
    fn templates(&self) -> Vec<(String, &Template)> {
        let files = self.files.iter().filter_map(|file| {
            let template = match &file.content {
                FileContent::Text(text) => text,
                FileContent::Generated(generated) => &generated.bytes,
                FileContent::Copied(_) => return None,
            };
            Some((format!("file {}", file.path), template))
        });
        let native = self.native.iter().flat_map(|native| {
            let env = native.env.iter().map(|(name, value)| (format!("env {name}"), value));
            let args = native.args.iter().map(|arg| ("args".to_owned(), arg));
            let directory = native.directory.iter().map(|text| ("directory".to_owned(), text));
            args.chain(env)
                .chain(directory)
                .map(|(place, text)| (format!("native {place}"), text))
        });
        let container = self.container.iter().flat_map(|container| {
            let env = container.env.iter().map(|(name, value)| (format!("env {name}"), value));
            let entrypoint = container.entrypoint.iter().flatten();
            let entrypoint = entrypoint.map(|arg| ("entrypoint".to_owned(), arg));
            let args = container.args.iter().flatten().map(|arg| ("args".to_owned(), arg));
            let directory = container.directory.iter().map(|text| ("directory".to_owned(), text));
            args.chain(entrypoint)
                .chain(env)
                .chain(directory)
                .map(|(place, text)| (format!("container {place}"), text))
        });
        let guest = self.guest.iter().flat_map(|guest| guest.args.iter().flatten());
        let guest = guest.map(|arg| ("guest args".to_owned(), arg));
        let seed = self.seed.iter().flat_map(|step| {
            let templates: Vec<&Template> = match step {
                SeedStep::Command(command) => command.args.iter().collect(),
                SeedStep::Http(request) => vec![&request.path, &request.body, &request.times],
                SeedStep::Redis(keys) => vec![&keys.keys, &keys.value_bytes],
            };
            templates.into_iter().map(|template| ("seed".to_owned(), template))
        });
        let probe = match &self.ready.probe {
            Probe::Command(command) => command.args.as_slice(),
            _ => &[],
        };
        let probe = probe.iter().map(|arg| ("ready args".to_owned(), arg));
        let task = self.task.iter().filter_map(|task| task.output.as_ref());
        let task = task.map(|output| ("task output".to_owned(), output));
        files
            .chain(native)
            .chain(container)
            .chain(guest)
            .chain(seed)
            .chain(probe)
            .chain(task)
            .collect()
    }

    /// Whether it runs the native program on a kind of platform.
    #[must_use]
    pub fn runs_native_program(&self, kind: PlatformKind) -> bool {
        let of_program = |container: &ContainerForm| matches!(container.image, ImageSource::Program(_));
        match kind {
            PlatformKind::Docker => self.container.as_ref().is_none_or(of_program),
            PlatformKind::Includeos => false,
            PlatformKind::Osv if self.task.is_some() => false,
            PlatformKind::LinuxVm | PlatformKind::Guest | PlatformKind::Osv => {
                self.native.is_some() && self.guest.as_ref().is_none_or(|guest| guest.root.is_none())
            }
            _ => self.native.is_some(),
        }
    }

    /// What it lacks to run on a kind of platform; `None`: it can.
    #[must_use]
    pub fn missing_form(&self, kind: PlatformKind) -> Option<String> {
        if self.task.is_some() && matches!(kind, PlatformKind::Osv | PlatformKind::Includeos) {
            return Some("its kernel starts no second program, which a task needs".to_owned());
        }
        let (has, table) = match kind {
            PlatformKind::Fake => return None,
            PlatformKind::Native | PlatformKind::Lxc => (self.native.is_some(), "[native]"),
            PlatformKind::Docker => (
                self.container.is_some() || self.native.is_some(),
                "[container], and no [native] of which an image could be built",
            ),
            PlatformKind::LinuxVm | PlatformKind::Guest | PlatformKind::Osv => (
                self.guest.is_some() || self.native.is_some(),
                "[guest], and no [native] of which an image could be built",
            ),
            PlatformKind::Includeos => (
                self.guest.is_some(),
                "[guest], and the service must be in the guest's image",
            ),
        };
        (!has).then(|| format!("the description has no {table}"))
    }
}
