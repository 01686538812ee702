//! Turns the description file into a checked [`Guest`], or lists every problem in it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use regex::bytes::{Regex, RegexBuilder};

use super::description::{
    CloudImage, CloudStart, Disk, DiskFormat, Guest, Image, InitramfsImage, Machine, Nic, RofsImage, Share, Stop,
    VirtiofsImage,
};
use super::problem::{Problem, Problems};
use super::raw::{RawDisk, RawGuest, RawShare};
use super::template::Template;
use super::vmm::Vmm;

/// The tag of OSv's shared root; OSv mounts the first share, whatever its tag.
pub(crate) const ROOT: &str = "root";
/// Longest virtio-fs tag, bytes (Virtual I/O Device 1.2, section 5.11.4).
const TAG_BYTES: usize = 36;
/// The names of the presets.
const PRESETS: &str = "osv, osv-image, osv-virtiofs, includeos, linux, cloud";

impl Guest {
    /// Reads and checks a description.
    ///
    /// # Errors
    /// [`Problems`]: all of them, each with its key and a remedy.
    pub fn read(file: &Path) -> Result<Self, Problems> {
        let text = fs::read_to_string(file).map_err(|error| Problems {
            file: file.to_owned(),
            problems: vec![Problem {
                key: "file",
                what: format!(
                    "{error}: describe the guest in this file (see deploy/linux/kernel.sh and deploy/osv/README.md)"
                ),
            }],
        })?;
        Self::parse(file, &text)
    }

    /// Checks the text of a description; `file` is only used in messages.
    ///
    /// # Errors
    /// See [`Guest::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problems> {
        let failed = |problems| Problems {
            file: file.to_owned(),
            problems,
        };
        let raw = raw(text).map_err(|problem| failed(vec![problem]))?;
        Self::check(raw).map_err(failed)
    }

    /// Checks a description.
    ///
    /// # Errors
    /// Every [`Problem`].
    pub fn check(raw: RawGuest) -> Result<Self, Vec<Problem>> {
        let mut checks = Checks::default();
        let guest = checks.guest(raw);
        match guest {
            Some(guest) if checks.problems.is_empty() => Ok(guest),
            _ => Err(checks.problems),
        }
    }
}

/// Overlays the file's own keys on those of its preset.
fn raw(text: &str) -> Result<RawGuest, Problem> {
    let syntax_error = |error: toml::de::Error| Problem {
        key: "file",
        what: error.to_string().trim_end().replace('\n', " "),
    };
    let own: toml::Table = toml::from_str(text).map_err(syntax_error)?;
    let mut merged = match own.get("preset") {
        None => toml::Table::new(),
        Some(name) => {
            let name = name.as_str().unwrap_or_default();
            let text = preset(name).ok_or_else(|| Problem {
                key: "preset",
                what: format!("unknown preset {name:?}: use one of {PRESETS}"),
            })?;
            toml::from_str(text).map_err(syntax_error)?
        }
    };
    merged.extend(own);
    merged.try_into().map_err(syntax_error)
}

/// The description file of a preset.
fn preset(name: &str) -> Option<&'static str> {
    match name {
        "osv" => Some(include_str!("../../osv/guest.toml")),
        "osv-image" => Some(include_str!("../../osv/image.toml")),
        "osv-virtiofs" => Some(include_str!("../../osv/virtiofs.toml")),
        "includeos" => Some(include_str!("../../includeos/guest.toml")),
        "cloud" => Some(include_str!("../../linux/cloud.toml")),
        "linux" => Some(include_str!("../../linux/guest.toml")),
        _ => None,
    }
}

/// Collects the problems of one description.
#[derive(Default)]
struct Checks {
    problems: Vec<Problem>,
}

impl Checks {
    fn guest(&mut self, raw: RawGuest) -> Option<Guest> {
        let bootable = raw.kernel.is_some() || !raw.disks.is_empty();
        if !bootable {
            self.problem(
                "kernel",
                "a guest needs a kernel, or a disk to boot from: name one".into(),
            );
        }
        let (vmm, program) = self.vmm(&raw)?;
        let image = self.image(&raw);
        let append_at = self.append_at(&raw);
        let shares = self.shares(&raw);
        let kernel = self.path("kernel", raw.kernel);
        let initrd = self.path("initrd", raw.initrd);
        let kernel_sha256 = raw.kernel_sha256.and_then(|text| self.sha256(&text));
        let disks = raw.disks.iter().filter_map(|disk| self.disk(disk)).collect();
        let virtiofsd = self.path("virtiofsd", raw.virtiofsd);
        let initrd_append = raw.initrd_append.and_then(|text| self.template("initrd_append", &text));
        let append = raw.append.and_then(|text| self.template("append", &text));
        let files = raw
            .files
            .into_iter()
            .filter_map(|(inside, outside)| Some((inside, self.path("files", Some(outside))?)))
            .collect();
        let machine = self.choice("machine", raw.machine.as_deref().unwrap_or("q35"), &MACHINES);
        let cpu = raw.cpu.and_then(|text| self.cpu(text));
        let nic = self.choice("nic", raw.nic.as_deref().unwrap_or("virtio-net-pci"), &NICS);
        let stop = self.choice("stop", raw.stop.as_deref().unwrap_or("powerdown"), &STOPS);
        let memory_mib = self.memory(raw.memory_mib.unwrap_or(128));
        let ready = match &raw.ready {
            Some(pattern) => self.regex("ready", pattern),
            None => {
                self.problem(
                    "ready",
                    "give a pattern for the console line that shows that the guest is up".into(),
                );
                None
            }
        };
        let panic = raw.panic.and_then(|pattern| self.regex("panic", &pattern));
        let exited = raw.exited.and_then(|pattern| self.exited(&pattern));
        Some(Guest {
            vmm,
            program,
            kernel,
            kernel_sha256,
            initrd,
            initrd_append,
            disks,
            shares,
            virtiofsd,
            image: image?,
            files,
            machine: machine?,
            cpu,
            memory_mib,
            append,
            append_at,
            nic: nic?,
            vnet_hdr: raw.vnet_hdr.unwrap_or(true),
            random: raw.random.unwrap_or(true),
            rest: raw.rest,
            stop: stop?,
            ready: ready?,
            panic,
            exited,
        })
    }

    /// The hypervisor, with its program if the description names one.
    fn vmm(&mut self, raw: &RawGuest) -> Option<(Vmm, Option<PathBuf>)> {
        let found = self.record("vmm", Vmm::parse(raw.vmm.as_deref().unwrap_or("qemu")))?;
        self.problems.extend(found.0.problems(raw));
        Some(found)
    }

    /// A CPU model with flags, which must stay one argument of QEMU's.
    fn cpu(&mut self, text: String) -> Option<String> {
        let named = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if named && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,=+".contains(c)) {
            return Some(text);
        }
        self.problem(
            "cpu",
            format!(
                "{text:?} is not a model that `qemu-system-x86_64 -cpu help` lists, with flags such as \"host,-pmu\""
            ),
        );
        None
    }

    fn shares(&mut self, raw: &RawGuest) -> Vec<Share> {
        let makes_one = raw.image.as_deref() == Some("virtiofs");
        if raw.virtiofsd.is_some() && raw.shares.is_empty() && !makes_one {
            let what = "there are no shares to serve: remove this key";
            self.problem("virtiofsd", what.into());
        }
        let mut shares: Vec<Share> = Vec::new();
        for share in &raw.shares {
            let Some(share) = self.share(share) else { continue };
            let is_taken = shares.iter().any(|other| other.tag == share.tag) || makes_one && share.tag == ROOT;
            if is_taken {
                let what = format!(
                    "{:?} is the tag of another share: every share needs a tag of its own",
                    share.tag
                );
                self.problem("shares.tag", what);
            } else {
                shares.push(share);
            }
        }
        shares
    }

    fn share(&mut self, raw: &RawShare) -> Option<Share> {
        let path = self.path("shares.path", Some(raw.path.clone()));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let tag = &raw.tag;
        if tag.is_empty() || tag.len() > TAG_BYTES || !tag.chars().all(plain) {
            let what = format!("{tag:?} is not a valid tag: use 1 to {TAG_BYTES} letters, digits, `-`, `_` and `.`");
            self.problem("shares.tag", what);
            return None;
        }
        Some(Share {
            path: path?,
            tag: tag.clone(),
            writable: raw.writable,
        })
    }

    fn image(&mut self, raw: &RawGuest) -> Option<Image> {
        let kind = self.choice("image", raw.image.as_deref().unwrap_or("none"), &IMAGES)?;
        if kind != ImageKind::Initramfs && raw.modules.is_some() {
            self.problem(
                "modules",
                "only the image \"initramfs\" loads modules: remove this key".into(),
            );
        }
        let start = self.choice("start", raw.start.as_deref().unwrap_or("unit"), &STARTS)?;
        if kind != ImageKind::Cloud && raw.start.is_some() {
            self.problem(
                "start",
                "only the image \"cloud\" can be started in two ways: remove this key".into(),
            );
        }
        match kind {
            ImageKind::None => Some(Image::None),
            ImageKind::Rofs => Some(Image::Rofs(RofsImage {})),
            ImageKind::Virtiofs => Some(Image::Virtiofs(VirtiofsImage {})),
            ImageKind::Cloud => {
                if raw.disks.is_empty() {
                    self.problem(
                        "disks",
                        "the image \"cloud\" needs a disk with a distribution that has cloud-init (deploy/linux/disk.sh)".into(),
                    );
                }
                Some(Image::Cloud(CloudImage { start }))
            }
            ImageKind::Initramfs => {
                if raw.initrd.is_some() {
                    self.problem(
                        "initrd",
                        "the image \"initramfs\" builds its own: remove one of the two".into(),
                    );
                }
                let Some(modules) = raw.modules.clone() else {
                    self.problem(
                        "modules",
                        "name the directory with the kernel's modules (deploy/linux/kernel.sh)".into(),
                    );
                    return None;
                };
                Some(Image::Initramfs(InitramfsImage {
                    modules: self.path("modules", Some(modules))?,
                    load: raw.load.clone().unwrap_or_default(),
                    init: self.path("init", raw.init.clone()),
                }))
            }
        }
    }

    /// Where boot arguments are written on the first disk. Without boot arguments the disk keeps those it has.
    fn append_at(&mut self, raw: &RawGuest) -> Option<u64> {
        let at = raw.append_at?;
        if raw.kernel.is_some() {
            let what = "a kernel gets its arguments directly: remove one of the two";
            self.problem("append_at", what.into());
        }
        let is_read_only = raw.disks.first().is_some_and(|disk| !disk.writable);
        if raw.append.is_some() && is_read_only {
            let what = "boot arguments are written to an overlay of the first disk: set `writable = true` there, or remove `append`";
            self.problem("append", what.into());
        }
        Some(at)
    }

    fn disk(&mut self, raw: &RawDisk) -> Option<Disk> {
        let path = self.path("disks.path", Some(raw.path.clone()));
        let format = self.choice("disks.format", &raw.format, &FORMATS);
        Some(Disk {
            path: path?,
            format: format?,
            writable: raw.writable,
        })
    }

    /// A path that QEMU cannot misread: absolute, and without the comma that separates multiboot modules.
    fn path(&mut self, key: &'static str, path: Option<PathBuf>) -> Option<PathBuf> {
        let path = path?;
        let text = path.to_str().unwrap_or_default();
        if path.is_absolute() && !text.is_empty() && !text.contains([',', ' ']) && !text.contains(char::is_control) {
            return Some(path);
        }
        self.problem(
            key,
            format!("{path:?} must be an absolute path without spaces, commas and control characters"),
        );
        None
    }

    fn sha256(&mut self, text: &str) -> Option<String> {
        let hash = text.to_ascii_lowercase();
        if hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()) {
            return Some(hash);
        }
        self.problem(
            "kernel_sha256",
            "write the 64 hexadecimal digits that `sha256sum` prints".into(),
        );
        None
    }

    fn memory(&mut self, mib: u64) -> u64 {
        if !(8..=1 << 20).contains(&mib) {
            self.problem("memory_mib", format!("{mib} is not from 8 to {}", 1 << 20));
        }
        mib
    }

    fn template(&mut self, key: &'static str, text: &str) -> Option<Template> {
        self.record(key, text.parse())
    }

    fn regex(&mut self, key: &'static str, pattern: &str) -> Option<Regex> {
        self.record(key, RegexBuilder::new(pattern).size_limit(1 << 20).build())
    }

    fn exited(&mut self, pattern: &str) -> Option<Regex> {
        let regex = self.regex("exited", pattern)?;
        if regex.captures_len() == 2 {
            return Some(regex);
        }
        self.problem(
            "exited",
            "the pattern needs one group, the exit code, e.g. \"returned (\\\\d+)\"".into(),
        );
        None
    }

    fn choice<T: Copy>(&mut self, key: &'static str, given: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(word, _)| *word == given);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.problem(key, format!("{given:?} is not one of {}", words.join(", ")));
        }
        found.map(|(_, choice)| *choice)
    }

    fn record<T, E: fmt::Display>(&mut self, key: &'static str, outcome: Result<T, E>) -> Option<T> {
        outcome
            .map_err(|error| self.problem(key, error.to_string().replace('\n', " ")))
            .ok()
    }

    fn problem(&mut self, key: &'static str, what: String) {
        self.problems.push(Problem { key, what });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ImageKind {
    None,
    Initramfs,
    Rofs,
    Virtiofs,
    Cloud,
}

const IMAGES: [(&str, ImageKind); 5] = [
    ("none", ImageKind::None),
    ("initramfs", ImageKind::Initramfs),
    ("rofs", ImageKind::Rofs),
    ("virtiofs", ImageKind::Virtiofs),
    ("cloud", ImageKind::Cloud),
];
const FORMATS: [(&str, DiskFormat); 2] = [("raw", DiskFormat::Raw), ("qcow2", DiskFormat::Qcow2)];
const MACHINES: [(&str, Machine); 3] = [
    ("q35", Machine::Q35),
    ("pc", Machine::Pc),
    ("microvm", Machine::Microvm),
];
const STARTS: [(&str, CloudStart); 2] = [("unit", CloudStart::Unit), ("ssh", CloudStart::Ssh)];
const STOPS: [(&str, Stop); 2] = [("powerdown", Stop::Powerdown), ("quit", Stop::Quit)];
const NICS: [(&str, Nic); 5] = [
    ("virtio-net-pci", Nic::VirtioPci),
    ("virtio-net-pci-transitional", Nic::VirtioPciTransitional),
    ("virtio-net-pci-non-transitional", Nic::VirtioPciModern),
    ("virtio-net-device", Nic::VirtioMmio),
    ("e1000", Nic::E1000),
];

#[cfg(test)]
mod tests;
