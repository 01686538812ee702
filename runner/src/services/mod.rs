//! The services that this host describes, and those that it allows messages to describe.
//!
//! A description is `services/<name>/service.toml`, and what it names below its folder is beside it. [`Catalog`] turns what a message asks for into what
//! drivers start; [`allow`] decides what may be asked for.

pub mod allow;

use std::fs;
use std::path::{Path, PathBuf};

use deploy::{Described, Service};
use protocol::Name;
use protocol::facts::{Program, ServiceFacts, ServiceRecord, Unmet};
use protocol::spec::{FileContent, NamedService, PlatformSpec, ServiceDescription, ServiceSource, ServiceSpec, Values};
use protocol::toml::{FileRemedies, did_you_mean};
use sha2::{Digest, Sha256};

use crate::facts::programs;
use allow::Allow;

/// The file of a description in its folder.
const FILE: &str = "service.toml";

/// What to do about a description that cannot be read.
const REMEDIES: FileRemedies = FileRemedies {
    directory: "make it a file",
    missing: "write it; docs/services.md describes every key",
    too_large: "a description is a short TOML text; copy large files with from = \"FILE\"",
};

/// The services that can be run on this host.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Where the descriptions are.
    folder: PathBuf,
    allow: Allow,
    /// The workload program, which starts tasks.
    workload: PathBuf,
}

/// A service as drivers get it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The service.
    pub service: Service,
    /// What it is, if it is described.
    pub record: Option<ServiceRecord>,
}

impl Catalog {
    /// The descriptions in a folder, which need not exist.
    #[must_use]
    pub const fn new(folder: PathBuf, allow: Allow, workload: PathBuf) -> Self {
        Self {
            folder,
            allow,
            workload,
        }
    }

    /// What may be started.
    #[must_use]
    pub const fn allow(&self) -> &Allow {
        &self.allow
    }

    /// Every description, sorted by name, each with its problems as text if it cannot be used.
    #[must_use]
    pub fn list(&self) -> Vec<(Name, Result<ServiceDescription, Unmet>)> {
        let mut names = self.names();
        names.sort();
        names
            .into_iter()
            .map(|name| {
                let read = self.read(&name).map(|(description, _)| description);
                (name, read)
            })
            .collect()
    }

    /// What a message asks for. Reads the description and the files beside it.
    ///
    /// # Errors
    /// The description does not exist, is not valid, or is not allowed; or a parameter is not one of its own.
    pub fn resolve(&self, spec: &ServiceSpec) -> Result<Resolved, Unmet> {
        let about = |unmet: Unmet| Unmet {
            need: format!("service {}: {}", spec.name, unmet.need),
            remedy: unmet.remedy,
        };
        match &spec.source {
            ServiceSource::Workload(workload) => Ok(Resolved {
                service: Service::workload(spec.name.clone(), workload.clone()),
                record: None,
            }),
            ServiceSource::Named(named) => self.named(&spec.name, named).map_err(about),
            ServiceSource::Inline(description) => self.inline(&spec.name, description).map_err(about),
        }
    }

    /// Whether a described service can run on each of these platforms.
    #[must_use]
    pub fn facts(&self, spec: &ServiceSpec, platforms: &[PlatformSpec]) -> ServiceFacts {
        let resolved = self.resolve(spec);
        let on = |platform: &PlatformSpec| match &resolved {
            Ok(resolved) => self.check(&resolved.service, platform).err(),
            Err(unmet) => Some(unmet.clone()),
        };
        ServiceFacts {
            service: spec.name.clone(),
            unmet: platforms.iter().map(on).collect(),
            protocol: resolved.as_ref().ok().and_then(|resolved| {
                let described = resolved.service.description()?;
                Some(described.description().protocol)
            }),
            record: resolved.ok().and_then(|resolved| resolved.record),
        }
    }

    /// Whether a service can run on a platform of this host.
    ///
    /// # Errors
    /// The form or the program that is missing.
    pub fn check(&self, service: &Service, platform: &PlatformSpec) -> Result<(), Unmet> {
        let Some(described) = service.description() else {
            return Ok(());
        };
        match described.description().missing_form(platform.kind()) {
            Some(missing) => Err(Unmet {
                need: format!("service {} cannot run on {}: {missing}", service.name, platform.kind()),
                remedy: "add it, or leave this platform out (optional = true skips it)".into(),
            }),
            None => allow::check_program(service, platform.kind()),
        }
    }

    fn named(&self, service: &Name, named: &NamedService) -> Result<Resolved, Unmet> {
        let name = &named.description;
        self.allow.description(name)?;
        let (description, folder) = self.read(name)?;
        let values = description.values(&named.parameters).map_err(|faults| Unmet {
            need: format!("the description {name}: {}", faults.join("; ")),
            remedy: "correct `parameters` in the experiment".into(),
        })?;
        let described = self.described(description, values, Some(folder))?;
        resolved(service, Some(name), described)
    }

    fn inline(&self, service: &Name, description: &ServiceDescription) -> Result<Resolved, Unmet> {
        let faulty = |need: String| Unmet {
            need,
            remedy: "correct the description in the experiment".into(),
        };
        if let Some((place, unknown)) = description.unknown_placeholders().into_iter().next() {
            return Err(faulty(format!("{place}: {unknown}")));
        }
        let values = description.values(&Default::default());
        let values = values.map_err(|faults| faulty(faults.join("; ")))?;
        let described = self.described(description.clone(), values, None)?;
        self.allow.inline(&described)?;
        resolved(service, None, described)
    }

    fn described(
        &self,
        description: ServiceDescription,
        values: Values,
        folder: Option<PathBuf>,
    ) -> Result<Described, Unmet> {
        let described = Described::new(description, values, folder, self.allow.data_limit());
        let described = described.map_err(|need| Unmet {
            need,
            remedy: "write e.g. parameters = { port = 8080 }".into(),
        })?;
        Ok(described.with_workload(self.workload.clone()))
    }

    /// A description, and its folder.
    fn read(&self, name: &Name) -> Result<(ServiceDescription, PathBuf), Unmet> {
        let folder = self.folder.join(name.as_str());
        let file = folder.join(FILE);
        if !file.exists() {
            let names = self.names();
            let names: Vec<&str> = names.iter().map(Name::as_str).collect();
            let remedy = match did_you_mean(name.as_str(), names.iter().copied()) {
                Some(word) => format!("did you mean {word}?"),
                None if names.is_empty() => format!("create {}", file.display()),
                None => format!("there are {}; or create {}", names.join(", "), file.display()),
            };
            return Err(Unmet {
                need: format!("there is no description {name} on this host"),
                remedy,
            });
        }
        let shown = file.display().to_string();
        let read = protocol::toml::read(&file, REMEDIES);
        let parsed = read.and_then(|text| protocol::description::parse(&shown, &text));
        match parsed {
            Ok(description) => Ok((description, folder)),
            Err(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(Unmet {
                    need: format!("the description {name} is not valid: {}", lines.join(" | ")),
                    remedy: "correct it on the target host".into(),
                })
            }
        }
    }

    fn names(&self) -> Vec<Name> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let described = entries.filter(|entry| entry.path().join(FILE).exists());
        described
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }
}

fn resolved(service: &Name, description: Option<&Name>, described: Described) -> Result<Resolved, Unmet> {
    let program = described.description().native.as_ref();
    let program = program.and_then(|native| described.program(&native.program).ok());
    let record = ServiceRecord {
        service: service.clone(),
        description: description.cloned(),
        sha256: sum(&described)?,
        program: program.and_then(|path| hashed(&path)),
        image: None,
    };
    Ok(Resolved {
        service: Service::described(service.clone(), described),
        record: Some(record),
    })
}

fn hashed(path: &Path) -> Option<Program> {
    programs::program(path).ok()
}

/// SHA-256 of a description, its parameters and the files beside it.
fn sum(described: &Described) -> Result<String, Unmet> {
    let mut hash = Sha256::new();
    // A description is stored as JSON, so this does not fail.
    hash.update(serde_json::to_vec(described.description()).unwrap_or_default());
    hash.update(described.settings());
    for file in &described.description().files {
        let (FileContent::Copied(from), Some(folder)) = (&file.content, described.folder()) else {
            continue;
        };
        let path = folder.join(from.as_str());
        let hashed = programs::program(&path).map_err(|error| Unmet {
            need: format!("the file {}, which the description copies: {error}", path.display()),
            remedy: "put it there, or correct `from`".into(),
        })?;
        hash.update(hashed.sha256);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use protocol::spec::{NativeSpec, Parameter, Place};

    use super::*;
    use crate::testing::name;

    const WEB: &str =
        "parameters = { port = 8080, workers = 1 }\n[native]\nprogram = '/bin/sh'\nargs = ['{workers}']\n";

    fn catalog(folder: &Path, descriptions: &[(&str, &str)]) -> Catalog {
        for (name, text) in descriptions {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join(FILE), text).unwrap();
        }
        Catalog::new(folder.to_owned(), Allow::default(), "workload".into())
    }

    fn named(description: &str, parameters: &[(&str, Parameter)]) -> ServiceSpec {
        let parameters = parameters.iter().cloned();
        ServiceSpec {
            name: name("web"),
            place: Place::Platform,
            source: ServiceSource::Named(NamedService {
                description: name(description),
                parameters: parameters.map(|(name, value)| (name.parse().unwrap(), value)).collect(),
            }),
        }
    }

    fn need(catalog: &Catalog, spec: &ServiceSpec) -> String {
        let Unmet { need, remedy } = catalog.resolve(spec).map(|_| ()).unwrap_err();
        format!("{need}: {remedy}")
    }

    #[test]
    fn a_description_is_found_by_name_and_its_parameters_are_set() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = catalog(folder.path(), &[("nginx", WEB)]);
        let resolved = catalog
            .resolve(&named("nginx", &[("port", Parameter::Integer(81))]))
            .unwrap();
        assert_eq!(resolved.service.port, Some(81));
        let record = resolved.record.unwrap();
        assert_eq!((record.description, record.sha256.len()), (Some(name("nginx")), 64));
        assert_eq!(record.program.unwrap().path, "/bin/sh");
        let other = catalog.resolve(&named("nginx", &[])).unwrap().record.unwrap();
        assert_ne!(other.sha256, record.sha256, "other parameters are another service");
    }

    #[test]
    fn what_does_not_exist_or_is_not_allowed_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = catalog(folder.path(), &[("nginx", WEB), ("broken", "protocol = 1")]);
        let refusal = need(&catalog, &named("ngin", &[]));
        assert_eq!(
            refusal,
            "service web: there is no description ngin on this host: did you mean nginx?"
        );
        let refusal = need(&catalog, &named("nginx", &[("workrs", Parameter::Integer(2))]));
        assert!(
            refusal.contains("parameter workrs = 2") && refusal.contains("did you mean workers?"),
            "{refusal}"
        );
        let refusal = need(&catalog, &named("broken", &[]));
        assert!(
            refusal.contains("broken/service.toml:1: protocol = 1: expected a string"),
            "{refusal}"
        );
        catalog.allow.descriptions = vec![allow::NamePattern::new("redis*")];
        let refusal = need(&catalog, &named("nginx", &[]));
        assert!(
            refusal.contains("the description nginx is not allowed on this host"),
            "{refusal}"
        );
        let listed = catalog.list();
        let listed: Vec<_> = listed
            .iter()
            .map(|(name, read)| (name.as_str(), read.is_ok()))
            .collect();
        assert_eq!(listed, [("broken", false), ("nginx", true)]);
    }

    #[test]
    fn a_copied_file_is_part_of_the_sum_and_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{WEB}[[file]]\npath = 'a'\nfrom = 'page'\n");
        let catalog = catalog(folder.path(), &[("nginx", &text)]);
        let spec = named("nginx", &[]);
        assert!(need(&catalog, &spec).contains("nginx/page, which the description copies"));
        let sum = |text: &str| {
            fs::write(folder.path().join("nginx/page"), text).unwrap();
            catalog.resolve(&spec).unwrap().record.unwrap().sha256
        };
        assert_ne!(sum("one"), sum("other"));
    }

    #[test]
    fn a_platform_without_a_form_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = catalog(folder.path(), &[("nginx", WEB)]);
        let native = PlatformSpec::Native(NativeSpec {});
        let lxc = PlatformSpec::Lxc(protocol::spec::LxcSpec {});
        let facts = catalog.facts(&named("nginx", &[]), &[native, lxc]);
        assert_eq!(facts.unmet[0], None);
        assert!(
            facts.unmet[1]
                .as_ref()
                .unwrap()
                .need
                .contains("service web cannot run on lxc")
        );
    }

    #[test]
    fn a_message_with_an_unknown_placeholder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = catalog(folder.path(), &[]);
        let mut description = protocol::description::parse("x", WEB).unwrap();
        description.native.as_mut().unwrap().args = vec!["{nothing}".parse().unwrap()];
        let spec = ServiceSpec {
            source: ServiceSource::Inline(Box::new(description)),
            ..named("x", &[])
        };
        assert!(need(&catalog, &spec).contains("native args: there is no parameter {nothing}"));
    }
}
