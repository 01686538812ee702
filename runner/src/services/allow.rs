//! What messages may start on this host.
//!
//! A message that names a description of this host, or nothing but the built-in workload, can start only what is already here. What a message
//! describes itself starts only what the configuration allows by name.

use deploy::{Described, Service};
use protocol::Name;
use protocol::facts::Unmet;
use protocol::spec::{
    CpuSet, GuestSpec, ImageSource, PlatformKind, PlatformSpec, Probe, ProgramPath, Resources, SeedStep,
    ServiceDescription,
};

/// A name with `*` for any part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// A pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether it covers a name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// What messages may start on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The descriptions of this host, by name.
    pub descriptions: Vec<NamePattern>,
    /// Programs that a description in a message may name, by their absolute paths.
    pub programs: Vec<NamePattern>,
    /// Container images, by name or digest, that a platform or a description in a message may name.
    pub images: Vec<NamePattern>,
    /// Files and folders of this host that a description in a message may put into images.
    pub files: Vec<NamePattern>,
    /// The descriptions of guests, by name.
    pub guests: Vec<NamePattern>,
    /// The most memory that a service may get, MiB; it must be limited then. `None`: no ceiling.
    pub memory_mib: Option<u64>,
    /// The CPUs that services may use; `None`: all.
    pub cpus: Option<CpuSet>,
    /// The most that the files of a service may contain, MiB.
    pub data_mib: u64,
}

impl Default for Allow {
    /// The built-in workload, and every description and guest of this host.
    fn default() -> Self {
        Self {
            descriptions: vec![NamePattern::new("*")],
            programs: Vec::new(),
            images: Vec::new(),
            files: Vec::new(),
            guests: vec![NamePattern::new("*")],
            memory_mib: None,
            cpus: None,
            data_mib: 256,
        }
    }
}

/// A refusal: what is not allowed, and the key that would allow it.
fn refused(what: String, key: &str, value: &str) -> Unmet {
    Unmet {
        need: format!("{what} is not allowed on this host"),
        remedy: format!("add {key} = [\"{value}\"] under [allow] in the runner's configuration, or leave it out"),
    }
}

fn is_covered(patterns: &[NamePattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.covers(name))
}

impl Allow {
    /// Whether a description of this host may be used.
    ///
    /// # Errors
    /// It may not.
    pub fn description(&self, name: &Name) -> Result<(), Unmet> {
        if is_covered(&self.descriptions, name.as_str()) {
            return Ok(());
        }
        Err(refused(
            format!("the description {name}"),
            "descriptions",
            name.as_str(),
        ))
    }

    /// Whether a platform may be used: its guest, or the image that it names.
    ///
    /// # Errors
    /// It may not.
    pub fn platform(&self, platform: &PlatformSpec) -> Result<(), Unmet> {
        match platform {
            PlatformSpec::Osv(guest)
            | PlatformSpec::Includeos(guest)
            | PlatformSpec::LinuxVm(guest)
            | PlatformSpec::Guest(guest) => self.guest(guest),
            PlatformSpec::Docker(docker) => docker.image.as_deref().map_or(Ok(()), |image| self.image(image)),
            PlatformSpec::Native(_) | PlatformSpec::Lxc(_) | PlatformSpec::Fake(_) => Ok(()),
        }
    }

    fn image(&self, name: &str) -> Result<(), Unmet> {
        if is_covered(&self.images, name) {
            return Ok(());
        }
        Err(refused(format!("the image {name}"), "images", name))
    }

    fn guest(&self, GuestSpec { guest, .. }: &GuestSpec) -> Result<(), Unmet> {
        if is_covered(&self.guests, guest.as_str()) {
            return Ok(());
        }
        Err(refused(format!("the guest {guest}"), "guests", guest.as_str()))
    }

    /// Whether a description that came in a message may be used: every program that it names.
    ///
    /// # Errors
    /// It may not.
    pub fn inline(&self, described: &Described) -> Result<(), Unmet> {
        let description = described.description();
        for program in programs(description) {
            // Where it is, so that a name is as good as its path.
            let path = described.program(program).map_err(unmet)?;
            let path = path.display().to_string();
            if !is_covered(&self.programs, &path) {
                return Err(refused(format!("the program {path}"), "programs", &path));
            }
        }
        if let ImageSource::Named(image) = described.image_source() {
            self.image(image.name.as_str())?;
        }
        let included = description.native.iter().flat_map(|native| &native.include);
        if let Some(path) = included
            .into_iter()
            .find(|path| !is_covered(&self.files, path.as_str()))
        {
            return Err(refused(format!("the file {path}"), "files", path.as_str()));
        }
        let variables = description.native.iter().flat_map(|native| native.env.keys());
        // They make the loader run other code than the program's.
        let loads = |name: &str| name.starts_with("LD_") || ["GLIBC_TUNABLES", "GCONV_PATH"].contains(&name);
        match variables.into_iter().find(|name| loads(name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Unmet {
                need: format!("the environment variable {name} of a description in a message is not allowed"),
                remedy: "put the description into services/ on this host".into(),
            }),
        }
    }

    /// Whether a RUN stays below the ceilings.
    ///
    /// # Errors
    /// It does not.
    pub fn resources(&self, resources: &Resources) -> Result<(), Unmet> {
        let unmet = |need: String, remedy: String| Err(Unmet { need, remedy });
        if let Some(most) = self.memory_mib {
            match resources.memory_mib {
                Some(mib) if mib <= most => {}
                Some(mib) => {
                    return unmet(
                        format!("{mib} MiB of memory for each service exceed the {most} MiB that this host allows"),
                        format!("write [resources] memory_mib = {most} or less"),
                    );
                }
                None => {
                    return unmet(
                        format!(
                            "this host allows services at most {most} MiB of memory, and the experiment sets no limit"
                        ),
                        format!("write [resources] memory_mib = {most} or less"),
                    );
                }
            }
        }
        if let (Some(allowed), Some(wanted)) = (&self.cpus, &resources.cpuset)
            && let Some(others) = wanted.without(allowed)
        {
            return unmet(
                format!("this host allows services the CPUs {allowed}, not {others}"),
                format!("write [resources] cpuset = \"{allowed}\""),
            );
        }
        Ok(())
    }

    /// The most that the files of a service may contain, bytes.
    #[must_use]
    pub const fn data_limit(&self) -> u64 {
        self.data_mib.saturating_mul(1 << 20)
    }
}

/// The programs of this host that a description names.
fn programs(description: &ServiceDescription) -> impl Iterator<Item = &ProgramPath> {
    let native = description.native.iter().map(|native| &native.program);
    let probe = match &description.ready.probe {
        Probe::Command(command) => Some(&command.program),
        _ => None,
    };
    let seed = description.seed.iter().filter_map(|step| match step {
        SeedStep::Command(command) => Some(&command.program),
        SeedStep::Http(_) | SeedStep::Redis(_) => None,
    });
    native.chain(probe).chain(seed)
}

/// A deployment's error as an unmet need.
fn unmet(error: deploy::DeployError) -> Unmet {
    match error {
        deploy::DeployError::Unmet { need, remedy } => Unmet { need, remedy },
        other => Unmet {
            need: other.to_string(),
            remedy: "correct the description".into(),
        },
    }
}

/// Refuses a described service whose program cannot run here, if it runs it on this kind of platform.
///
/// # Errors
/// The need.
pub fn check_program(service: &Service, kind: PlatformKind) -> Result<(), Unmet> {
    let Some(described) = service.description() else {
        return Ok(());
    };
    let description = described.description();
    let mut native = description
        .native
        .iter()
        .filter(|_| description.runs_native_program(kind));
    native.try_for_each(|native| described.program(&native.program).map(drop).map_err(unmet))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn inline(text: &str) -> Described {
        let text = format!("{text}\n[ready]\nkind = 'started'\n");
        let description = protocol::description::parse("x", &text).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        Described::new(description, values, None, 1000).unwrap()
    }

    fn allowing(programs: &[&str]) -> Allow {
        Allow {
            programs: programs.iter().map(|text| NamePattern::new(text)).collect(),
            ..Allow::default()
        }
    }

    #[test]
    fn a_star_stands_for_any_part() {
        for (pattern, name, covered) in [
            ("*", "anything", true),
            ("nginx", "nginx", true),
            ("nginx", "nginx-2", false),
            ("", "x", false),
            ("/opt/lab/*", "/opt/lab/bin/server", true),
            ("/opt/lab/*", "/opt/other", false),
            ("*.conf", "x.conf", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(NamePattern::new(pattern).covers(name), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn a_message_names_no_program_that_is_not_allowed() {
        let shell = inline("[native]\nprogram = '/bin/sh'");
        let error = Allow::default().inline(&shell).unwrap_err();
        assert_eq!(error.need, "the program /bin/sh is not allowed on this host");
        assert!(
            error.remedy.contains("programs = [\"/bin/sh\"] under [allow]"),
            "{}",
            error.remedy
        );
        allowing(&["/bin/sh"]).inline(&shell).unwrap();
        allowing(&["/bin/*"]).inline(&shell).unwrap();
        let by_name = inline("[native]\nprogram = 'sh'");
        let error = Allow::default().inline(&by_name).unwrap_err();
        assert!(error.need.contains("/sh is not allowed"), "{}", error.need);
        let probed = "parameters = { port = 1 }\n[native]\nprogram = '/bin/sh'\n[ready]\nkind = 'command'\nprogram = '/bin/cat'\n";
        let description = protocol::description::parse("x", probed).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        let probed = Described::new(description, values, None, 0).unwrap();
        let error = allowing(&["/bin/sh"]).inline(&probed).unwrap_err();
        assert_eq!(error.need, "the program /bin/cat is not allowed on this host");
    }

    #[test]
    fn a_message_cannot_make_an_allowed_program_load_other_code() {
        let preloaded = inline("[native]\nprogram = '/bin/sh'\nenv = { LD_PRELOAD = '{dir}/evil.so' }");
        let error = allowing(&["*"]).inline(&preloaded).unwrap_err();
        assert!(error.need.contains("LD_PRELOAD"), "{}", error.need);
    }

    #[test]
    fn images_and_included_files_are_allowed_by_name() {
        let image = inline("[container]\nimage = 'lab:5000/web:1'");
        let error = Allow::default().inline(&image).unwrap_err();
        assert_eq!(error.need, "the image lab:5000/web:1 is not allowed on this host");
        let mut allow = allowing(&["/bin/*"]);
        allow.images = vec![NamePattern::new("lab:5000/*")];
        allow.inline(&image).unwrap();
        let docker = |image: &str| {
            PlatformSpec::Docker(protocol::spec::DockerSpec {
                image: Some(image.into()),
                ..protocol::spec::DockerSpec::default()
            })
        };
        allow.platform(&docker("lab:5000/x@sha256:1")).unwrap();
        let error = allow.platform(&docker("other")).unwrap_err();
        assert!(error.remedy.contains("images = [\"other\"]"), "{}", error.remedy);
        let secret = inline("[native]\nprogram = '/bin/cat'\ninclude = ['/etc/shadow']");
        let error = allow.inline(&secret).unwrap_err();
        assert_eq!(error.need, "the file /etc/shadow is not allowed on this host");
        allow.files = vec![NamePattern::new("/etc/*")];
        allow.inline(&secret).unwrap();
    }

    #[test]
    fn ceilings_are_named() {
        let allow = Allow {
            memory_mib: Some(512),
            cpus: Some("2-3".parse().unwrap()),
            ..Allow::default()
        };
        let resources = |memory_mib, cpuset: Option<&str>| Resources {
            memory_mib,
            cpuset: cpuset.map(|cpus| cpus.parse().unwrap()),
            mems: None,
        };
        allow.resources(&resources(Some(512), Some("3"))).unwrap();
        allow.resources(&resources(Some(1), None)).unwrap();
        for (bad, need) in [
            (resources(Some(513), None), "513 MiB"),
            (resources(None, None), "sets no limit"),
            (resources(Some(1), Some("1-2")), "not 1"),
        ] {
            let error = allow.resources(&bad).unwrap_err();
            assert!(error.need.contains(need), "{}", error.need);
        }
        Allow::default().resources(&Resources::default()).unwrap();
    }
}
