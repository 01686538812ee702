//! From a raw description to a checked one, or to every problem of it.

use std::collections::{BTreeMap, BTreeSet};

use super::raw::{RawContainer, RawDescription, RawFile, RawGuest, RawNative, RawTask};
use super::{ready, seed};
use crate::load::Transport;
use crate::spec::{
    ContainerForm, EnvName, FileContent, Fill, GeneratedContent, GuestForm, INDEX, ImageSource, NamedImage, NativeForm,
    PORT, Parameter, ParameterName, ProgramImage, ProgramPath, Pull, RESERVED, RelativePath, ServiceDescription,
    ServiceFile, TASK_PORT, TaskForm, Template, Values, is_plain,
};
use crate::toml::value::{self, parsed};
use crate::toml::{Fault, Problem, TableCheck};

impl RawDescription {
    /// Checks everything; `None`: a problem is reported. `[task]` makes it a task.
    #[must_use]
    pub fn check(&self, problems: &mut Vec<Problem>) -> Option<ServiceDescription> {
        self.check_as(self.task.is_some(), problems)
    }

    /// The same of a task without `[task]`, or of a service.
    #[must_use]
    pub fn check_as(&self, is_task: bool, problems: &mut Vec<Problem>) -> Option<ServiceDescription> {
        let keys = &self.keys;
        let mut table = TableCheck::new(&keys.section, problems);
        let protocols = Transport::OF_SERVICES.map(|protocol| (protocol.as_str(), protocol));
        let mut protocol = table.or(&keys.protocol, Transport::Http, value::choice(&protocols));
        let mut parameters = table.or(&keys.parameters, BTreeMap::new(), parameters);
        if is_task {
            table.forbid(&keys.protocol, "a task speaks nothing", "remove it");
            protocol = Some(Transport::Task);
            if let (Some(parameters), Ok(port)) = (&mut parameters, PORT.parse()) {
                let default = || Parameter::Integer(TASK_PORT.into());
                parameters.entry(port).or_insert_with(default);
            }
        }
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
        let ready = ready::check(&self.ready, protocol.zip(listens), known.as_ref(), problems);
        let task = match &self.task {
            Some(raw) => task(raw, known.as_ref(), problems),
            None => Some(TaskForm::default()),
        };
        Some(ServiceDescription {
            protocol: protocol?,
            parameters: parameters?,
            files: files?,
            // A form that is there and not valid is reported.
            native: native.map_or(Some(None), |native| native.map(Some))?,
            container: container.map_or(Some(None), |container| container.map(Some))?,
            guest: guest.map_or(Some(None), |guest| guest.map(Some))?,
            task: task.map(|task| is_task.then_some(task))?,
            ready: ready?,
            seed: seed?,
        })
    }
}

/// Parameters with valid names and values: the declared ones, or those that an experiment sets.
///
/// # Errors
/// The first that is not valid.
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

type Environment = BTreeMap<EnvName, Template>;

fn environment(known: Option<&Values>) -> impl Fn(&Vec<(String, String)>) -> Result<Environment, Fault> {
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

fn task(raw: &RawTask, known: Option<&Values>, problems: &mut Vec<Problem>) -> Option<TaskForm> {
    let mut table = TableCheck::new(&raw.section, problems);
    let exit_code = table.or(&raw.exit_code, 0, value::integer("an exit code", 0..=255, 0));
    let output = table.optional(&raw.output, template(known));
    Some(TaskForm {
        exit_code: exit_code?,
        output: output?,
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
