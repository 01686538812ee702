//! From a raw description to a checked one, or to every problem of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::raw::{RawContainer, RawDescription, RawFile, RawGuest, RawNative, RawReady};
use super::seed;
use crate::load::Transport;
use crate::spec::{
    CommandProbe, ConnectsProbe, ContainerForm, DnsProbe, EnvName, FileContent, Fill, GeneratedContent, GuestForm,
    HttpProbe, INDEX, ImageSource, NamedImage, NativeForm, OutputProbe, PORT, Parameter, ParameterName, Pattern, Probe,
    ProgramImage, ProgramPath, Pull, RESERVED, Readiness, RedisProbe, RelativePath, ServiceDescription, ServiceFile,
    StartedProbe, Template, UdpProbe, Values, is_plain,
};
use crate::toml::value::{self, parsed};
use crate::toml::{Fault, Problem, TableCheck};

/// The kinds of probe, by their word.
#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
    Udp,
    Dns,
    Redis,
    Output,
    Command,
    Started,
}

const KINDS: [(&str, Kind); 8] = [
    ("http", Kind::Http),
    ("tcp", Kind::Tcp),
    ("udp", Kind::Udp),
    ("dns", Kind::Dns),
    ("redis", Kind::Redis),
    ("output", Kind::Output),
    ("command", Kind::Command),
    ("started", Kind::Started),
];

impl RawDescription {
    /// Checks everything; `None`: a problem is reported.
    #[must_use]
    pub fn check(&self, problems: &mut Vec<Problem>) -> Option<ServiceDescription> {
        let keys = &self.keys;
        let mut table = TableCheck::new(&keys.section, problems);
        let protocols = Transport::ALL.map(|protocol| (protocol.as_str(), protocol));
        let protocol = table.or(&keys.protocol, Transport::Http, value::choice(&protocols));
        let parameters = table.or(&keys.parameters, BTreeMap::new(), parameters);
        // Without the parameters, every placeholder would be a second problem.
        let known = parameters.as_ref().map(placeholders);
        let mut paths = BTreeSet::new();
        let files: Vec<_> = self
            .files
            .iter()
            .map(|raw| file(raw, known.as_ref(), &mut paths, problems))
            .collect();
        let files: Option<Vec<_>> = files.into_iter().collect();
        let native = self.native.as_ref().map(|raw| native(raw, known.as_ref(), problems));
        let container = self
            .container
            .as_ref()
            .map(|raw| container(raw, self.native.is_some(), known.as_ref(), problems));
        let guest = self.guest.as_ref().map(|raw| guest(raw, known.as_ref(), problems));
        if self.native.is_none() && self.container.is_none() && self.guest.is_none() {
            let fault = Fault::new(
                "nothing says how it is started",
                "add [native] and program = \"/usr/sbin/nginx\" below it, or [container] and image = \"nginx:1.27\"",
            );
            TableCheck::new(&keys.section, problems).table_error(fault);
        }
        let seed: Vec<_> = self
            .seed
            .iter()
            .map(|raw| {
                let listens = known.as_ref().is_none_or(|known| known.get(PORT).is_ok());
                seed::check(raw, known.as_ref(), listens, problems)
            })
            .collect();
        let seed: Option<Vec<_>> = seed.into_iter().collect();
        let listens = parameters
            .as_ref()
            .map(|all| all.keys().any(|name| name.as_str() == PORT));
        let ready = readiness(&self.ready, protocol.zip(listens), known.as_ref(), problems);
        Some(ServiceDescription {
            protocol: protocol?,
            parameters: parameters?,
            files: files?,
            // A form that is there and not valid is reported.
            native: native.map_or(Some(None), |native| native.map(Some))?,
            container: container.map_or(Some(None), |container| container.map(Some))?,
            guest: guest.map_or(Some(None), |guest| guest.map(Some))?,
            ready: ready?,
            seed: seed?,
        })
    }
}

/// Parameters with valid names and values: the declared ones, or those that an experiment sets.
///
/// # Errors
/// The first that is not valid.
#[expect(clippy::ptr_arg, reason = "a check takes what a field holds")]
pub fn parameters(given: &Vec<(String, Parameter)>) -> Result<BTreeMap<ParameterName, Parameter>, Fault> {
    let mut parameters = BTreeMap::new();
    for (name, default) in given {
        let fault = |what: String, remedy: &str| Fault::new(what, remedy);
        let known: ParameterName = name.parse().map_err(|_| {
            fault(
                format!("{name:?} cannot be the name of a parameter"),
                "use 1 to 40 of a-z, 0-9 and _, beginning with a letter",
            )
        })?;
        if RESERVED.contains(&name.as_str()) {
            let what = format!("the platform defines {{{name}}} itself");
            return Err(fault(what, "give the parameter another name"));
        }
        if name == PORT && !matches!(default, Parameter::Integer(1..=65_535)) {
            return Err(fault("a port is 1 to 65535".to_owned(), "write e.g. port = 8080"));
        }
        if let Parameter::Text(text) = default
            && !is_plain(text)
        {
            let what = format!("the value of {name} has characters that could change what is around it");
            return Err(fault(what, "use letters, digits and ._:/@%+,=- (and no ..)"));
        }
        parameters.insert(known, default.clone());
    }
    Ok(parameters)
}

/// A value for every placeholder, which templates are checked with.
fn placeholders(parameters: &BTreeMap<ParameterName, Parameter>) -> Values {
    let mut values = Values::default();
    for (name, default) in parameters {
        values.set(name.as_str(), default);
    }
    let listens = parameters.keys().any(|name| name.as_str() == PORT);
    for name in RESERVED {
        if name != INDEX && (listens || !["listen", "address"].contains(&name)) {
            values.set(name, "");
        }
    }
    values
}

/// A text with known placeholders.
pub(super) fn template(known: Option<&Values>) -> impl Fn(&String) -> Result<Template, Fault> {
    move |text| {
        let template: Template = text
            .parse()
            .map_err(|_| Fault::new("it contains a NUL character", "remove it"))?;
        if let Some(known) = known {
            template
                .check(known)
                .map_err(|unknown| Fault::new(format!("there is no parameter {{{}}}", unknown.name), unknown.remedy))?;
        }
        Ok(template)
    }
}

pub(super) fn templates(known: Option<&Values>) -> impl Fn(&Vec<String>) -> Result<Vec<Template>, Fault> {
    move |texts| texts.iter().map(template(known)).collect()
}

fn environment(
    known: Option<&Values>,
) -> impl Fn(&Vec<(String, String)>) -> Result<BTreeMap<EnvName, Template>, Fault> {
    move |pairs| {
        let one = |(name, value): &(String, String)| {
            let name = parsed("name of an environment variable", "use letters, digits and _")(name)?;
            Ok((name, template(known)(value)?))
        };
        pairs.iter().map(one).collect()
    }
}

const PATH: &str =
    "write a path below the service's directory, e.g. www/index.html, without .. and without a leading /";
pub(super) const PROGRAM: &str =
    "write an absolute path such as /usr/sbin/nginx, a name, or a path below the folder of service.toml";

fn file(
    raw: &RawFile,
    known: Option<&Values>,
    paths: &mut BTreeSet<RelativePath>,
    problems: &mut Vec<Problem>,
) -> Option<ServiceFile> {
    let mut table = TableCheck::new(&raw.section, problems);
    let path: Option<RelativePath> = table.required(&raw.path, "path = \"nginx.conf\"", parsed("path", PATH));
    if let Some(path) = &path
        && !paths.insert(path.clone())
    {
        table.error(&raw.path, Fault::new("another file has this path", "give each its own"));
    }
    let contents = table.optional(&raw.contents, template(known));
    let bytes = table.optional(&raw.bytes, template(known));
    let from = table.optional(
        &raw.from,
        parsed("path", "write the path of a file beside service.toml"),
    );
    let fills = [("letters", Fill::Letters), ("random", Fill::Random)];
    let fill = table.or(&raw.fill, Fill::Letters, value::choice(&fills));
    let executable = table.or(&raw.executable, false, value::any);
    let (contents, bytes, from) = (contents?, bytes?, from?);
    if bytes.is_none() {
        table.forbid(
            &raw.fill,
            "only generated content is filled",
            "remove it, or write bytes",
        );
    }
    let content = match (contents, bytes, from) {
        (Some(text), None, None) => FileContent::Text(text),
        (None, Some(bytes), None) => FileContent::Generated(GeneratedContent { bytes, fill: fill? }),
        (None, None, Some(from)) => FileContent::Copied(from),
        _ => {
            let fault = Fault::new(
                "a file has one content",
                "write one of contents = \"...\", bytes = \"1MiB\" and from = \"FILE\"",
            );
            table.table_error(fault);
            return None;
        }
    };
    Some(ServiceFile {
        path: path?,
        content,
        executable: executable?,
    })
}

fn native(raw: &RawNative, known: Option<&Values>, problems: &mut Vec<Problem>) -> Option<NativeForm> {
    let mut table = TableCheck::new(&raw.section, problems);
    let program: Option<ProgramPath> = table.required(
        &raw.program,
        "program = \"/usr/sbin/nginx\"",
        parsed("program", PROGRAM),
    );
    let args = table.or(&raw.args, Vec::new(), templates(known));
    let env = table.or(&raw.env, BTreeMap::new(), environment(known));
    let user = table.optional(
        &raw.user,
        parsed("name of a user", "write a user of the target host, e.g. www-data"),
    );
    let directory = table.optional(&raw.directory, template(known));
    let include = table.or(&raw.include, Vec::new(), |paths| {
        let path = parsed(
            "path",
            "write absolute paths of the target host, e.g. [\"/usr/lib/nginx/modules\"]",
        );
        paths.iter().map(path).collect()
    });
    Some(NativeForm {
        program: program?,
        args: args?,
        env: env?,
        user: user?,
        directory: directory?,
        include: include?,
    })
}

fn container(
    raw: &RawContainer,
    has_native: bool,
    known: Option<&Values>,
    problems: &mut Vec<Problem>,
) -> Option<ContainerForm> {
    let mut table = TableCheck::new(&raw.section, problems);
    let image = image(raw, has_native, &mut table);
    let entrypoint = table.optional(&raw.entrypoint, templates(known));
    let args = table.optional(&raw.args, templates(known));
    let env = table.or(&raw.env, BTreeMap::new(), environment(known));
    let user = table.optional(
        &raw.user,
        parsed("name of a user", "write a user of the image, e.g. nginx"),
    );
    let port = table.optional(&raw.port, value::integer("a port", 1..=65_535, 80));
    let directory = table.optional(&raw.directory, template(known));
    let volumes = table.or(&raw.volumes, BTreeMap::new(), |pairs| {
        let one = |(inside, file): &(String, String)| {
            let inside = parsed(
                "path in the container",
                "write an absolute path, e.g. \"/etc/nginx/nginx.conf\"",
            )(inside)?;
            let file = parsed("path", "write a path in the service's directory, e.g. \"nginx.conf\"")(file)?;
            Ok((inside, file))
        };
        pairs.iter().map(one).collect()
    });
    Some(ContainerForm {
        image: image?,
        entrypoint: entrypoint?,
        args: args?,
        env: env?,
        user: user?,
        port: port?,
        directory: directory?,
        volumes: volumes?,
    })
}

fn guest(raw: &RawGuest, known: Option<&Values>, problems: &mut Vec<Problem>) -> Option<GuestForm> {
    let mut table = TableCheck::new(&raw.section, problems);
    let root = table.optional(
        &raw.root,
        parsed("path", "write a path below the folder of service.toml"),
    );
    let program = table.optional(
        &raw.program,
        parsed(
            "path",
            "write the absolute path of the program in the root, e.g. \"/usr/sbin/nginx\"",
        ),
    );
    let args = table.optional(&raw.args, templates(known));
    if raw.root.is_absent() {
        table.forbid(
            &raw.program,
            "only a root of its own has another program",
            "write root, or remove it",
        );
    }
    Some(GuestForm {
        root: root?,
        program: program?,
        args: args?,
    })
}

fn image(raw: &RawContainer, has_native: bool, table: &mut TableCheck<'_>) -> Option<ImageSource> {
    const BESIDE: &str = "write a path below the folder of service.toml";
    let pulls = [
        ("missing", Pull::Missing),
        ("always", Pull::Always),
        ("never", Pull::Never),
    ];
    let name = table.optional(
        &raw.image,
        parsed(
            "name of an image",
            "write e.g. nginx:1.27 or registry.example.org/group/name@sha256:...",
        ),
    );
    let pull = table.or(&raw.pull, Pull::Missing, value::choice(&pulls));
    let archive = table.optional(&raw.archive, parsed("path", BESIDE));
    let folder = table.optional(&raw.folder, parsed("path", BESIDE));
    let (name, archive, folder) = (name?, archive?, folder?);
    if name.is_none() {
        table.forbid(
            &raw.pull,
            "only an image with a name is pulled",
            "remove it, or write image",
        );
    }
    match (name, archive, folder) {
        (Some(name), None, None) => Some(ImageSource::Named(NamedImage { name, pull: pull? })),
        (None, Some(archive), None) => Some(ImageSource::Archive(archive)),
        (None, None, Some(folder)) => Some(ImageSource::Folder(folder)),
        (None, None, None) if has_native => Some(ImageSource::Program(ProgramImage {})),
        (None, None, None) => {
            let remedy = "write image = \"nginx:1.27\", archive = \"FILE\", folder = \"FOLDER\", or add [native], of whose program one is built";
            table.table_error(Fault::new("it has no image", remedy));
            None
        }
        _ => {
            let fault = Fault::new("a container has one image", "write one of image, archive and folder");
            table.table_error(fault);
            None
        }
    }
}

/// The keys of each kind of probe.
const fn keys_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Http => &["path", "status", "body_bytes", "body"],
        Kind::Udp => &["packet", "answer"],
        Kind::Dns => &["name"],
        Kind::Output => &["line"],
        Kind::Command => &["program", "args"],
        Kind::Tcp | Kind::Redis | Kind::Started => &[],
    }
}

fn readiness(
    raw: &RawReady,
    service: Option<(Transport, bool)>,
    known: Option<&Values>,
    problems: &mut Vec<Problem>,
) -> Option<Readiness> {
    let mut table = TableCheck::new(&raw.section, problems);
    let default = service.and_then(|(protocol, listens)| match (listens, protocol) {
        (true, Transport::Http) => Some(Kind::Http),
        (true, Transport::Tcp) => Some(Kind::Tcp),
        _ => None,
    });
    // What is missing here would only follow from another problem.
    if service.is_none() && raw.kind.is_absent() {
        return None;
    }
    let kind = match default {
        Some(default) => table.or(&raw.kind, default, value::choice(&KINDS)),
        None => table.required(
            &raw.kind,
            "kind = \"output\" and line = \"ready\"",
            value::choice(&KINDS),
        ),
    };
    let kind = kind?;
    for field in raw.given() {
        let is_common = ["kind", "interval", "timeout"].contains(&field.key);
        if !is_common && !keys_of(kind).contains(&field.key) {
            let (word, _) = KINDS.iter().find(|(_, other)| keys_of(*other).contains(&field.key))?;
            table.error(
                &field,
                Fault::new(
                    format!("this key is for kind = \"{word}\""),
                    "remove it, or write that kind",
                ),
            );
        }
    }
    let probe = probe(raw, kind, known, &mut table);
    if let (Some(probe), Some((_, false))) = (&probe, service)
        && probe.needs_port()
    {
        let remedy = "declare it: parameters = { port = 8080 }, or write kind = \"output\", \"command\" or \"started\"";
        table.error(
            &raw.kind,
            Fault::new("this probe needs a port, and there is none", remedy),
        );
    }
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let interval = table.optional(&raw.interval, value::within("an interval", ms(1)..=s(60), "10ms"));
    let timeout = table.optional(&raw.timeout, value::within("a time-out", ms(1)..=s(3600), "30s"));
    let whole = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Some(Readiness {
        probe: probe?,
        interval_ms: interval?.map(whole),
        timeout_ms: timeout?.map(whole),
    })
}

fn probe(raw: &RawReady, kind: Kind, known: Option<&Values>, table: &mut TableCheck<'_>) -> Option<Probe> {
    Some(match kind {
        Kind::Http => Probe::Http(http(raw, table)?),
        Kind::Tcp => Probe::Connects(ConnectsProbe {}),
        Kind::Udp => {
            let packet = table.required(&raw.packet, "packet = \"are you there?\"", value::any);
            let answer = table.required(&raw.answer, "answer = \"yes\"", value::any);
            Probe::Udp(UdpProbe {
                packet: packet?,
                answer: answer?,
            })
        }
        Kind::Dns => Probe::Dns(DnsProbe {
            name: table.required(&raw.name, "name = \"www.example.org\"", domain)?,
        }),
        Kind::Redis => Probe::Redis(RedisProbe {}),
        Kind::Output => Probe::Output(OutputProbe {
            line: table.required(&raw.line, "line = \"^listening\"", pattern)?,
        }),
        Kind::Command => {
            let program = table.required(
                &raw.program,
                "program = \"/usr/bin/pg_isready\"",
                parsed("program", PROGRAM),
            );
            let args = table.or(&raw.args, Vec::new(), templates(known));
            Probe::Command(CommandProbe {
                program: program?,
                args: args?,
            })
        }
        Kind::Started => Probe::Started(StartedProbe {}),
    })
}

fn http(raw: &RawReady, table: &mut TableCheck<'_>) -> Option<HttpProbe> {
    let path = table.or(&raw.path, "/".to_owned(), |text: &String| {
        let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_path.then(|| text.clone()).ok_or_else(|| {
            Fault::new(
                "invalid path",
                "write a path that begins with /, e.g. path = \"/health\"",
            )
        })
    });
    let status = table.or(&raw.status, 200, value::integer("a status", 100..=599, 200));
    let body_bytes = table.optional(
        &raw.body_bytes,
        value::integer("the length of a body in bytes", 0..=64 << 20, 1000),
    );
    let body = table.optional(&raw.body, pattern);
    Some(HttpProbe {
        path: path?,
        status: status?,
        body_bytes: body_bytes?,
        body: body?,
    })
}

fn pattern(text: &String) -> Result<Pattern, Fault> {
    text.parse::<Pattern>().map_err(|error| {
        let what = format!("invalid regular expression ({})", error.why);
        Fault::new(
            what,
            "correct it; in single quotation marks, backslashes stay as they are",
        )
    })
}

/// A domain name: labels of 1 to 63 bytes, together at most 253.
fn domain(text: &String) -> Result<String, Fault> {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.clone());
    }
    Err(Fault::new(
        "invalid domain name",
        "write e.g. name = \"www.example.org\"",
    ))
}
