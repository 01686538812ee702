//! Turns the description file into a checked [`Guest`], or lists every problem in it.
#![expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]

use std::path::{Path, PathBuf};

use protocol::toml::{Document, Fault, FileRemedies, Problem, Table, TableCheck, read, value};
use regex::bytes::{Regex, RegexBuilder};

use super::description::{
    CloudImage, CloudStart, Disk, DiskFormat, Guest, Image, InitramfsImage, Machine, Nic, RofsImage, Share, Stop,
    VirtiofsImage,
};
use super::raw::{RawDisk, RawGuest, RawKeys, RawShare};
use super::template::{PLACEHOLDERS, Template, TemplateError};
use super::vmm::Vmm;

/// The tag of OSv's shared root; OSv mounts the first share, whatever its tag.
pub(crate) const ROOT: &str = "root";
/// Longest virtio-fs tag, bytes (Virtual I/O Device 1.2, section 5.11.4).
const TAG_BYTES: usize = 36;
/// The names of the presets.
const PRESETS: [&str; 6] = ["osv", "osv-image", "osv-virtiofs", "includeos", "linux", "cloud"];
/// What to do about a description that cannot be read.
const REMEDIES: FileRemedies = FileRemedies {
    directory: "put the description in a file of this name",
    missing: "describe the guest in this file (see deploy/linux/kernel.sh and deploy/osv/README.md)",
    too_large: "a description is a short TOML text (see deploy/osv/guest.toml)",
};
const REMOVE: &str = "remove this key";

impl Guest {
    /// Reads and checks a description.
    ///
    /// # Errors
    /// Every [`Problem`].
    pub fn read(file: &Path) -> Result<Self, Vec<Problem>> {
        Self::parse(file, &read(file, REMEDIES)?)
    }

    /// Checks the text of a description; `file` is only used in messages.
    ///
    /// # Errors
    /// Every [`Problem`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let name = file.display().to_string();
        let own = Document::parse(&name, text)?;
        let preset = preset_of(&name, &own)?;
        let mut problems = Vec::new();
        let documents = [Some(&own), preset.as_ref()].into_iter().flatten();
        let raw = RawGuest::read(Table::root(&name, documents, &[]), &mut problems);
        let guest = guest(&raw, &mut problems);
        problems.sort_by_key(|problem| problem.line);
        guest.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

/// The preset that a description extends.
fn preset_of(file: &str, own: &Document<'_>) -> Result<Option<Document<'static>>, Vec<Problem>> {
    let mut root = Table::root(file, [own], &[]);
    let (field, section) = (root.string("preset"), root.section());
    let mut problems = Vec::new();
    let words = PRESETS.map(|name| (name, name));
    let name = TableCheck::new(&section, &mut problems).optional(&field, value::choice(&words));
    match name.flatten() {
        _ if !problems.is_empty() => Err(problems),
        Some(name) => Document::parse(format!("preset {name}"), preset(name).unwrap_or_default()).map(Some),
        None => Ok(None),
    }
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

/// Checks all first and builds last, so that no problem hides another. `None`: a problem is reported.
fn guest(raw: &RawGuest, problems: &mut Vec<Problem>) -> Option<Guest> {
    let keys = &raw.keys;
    let mut table = TableCheck::new(&keys.section, problems);
    let table = &mut table;
    if keys.kernel.is_absent() && raw.disks.is_empty() {
        let fault = Fault::new("a guest needs a kernel, or a disk to boot from", "name one");
        table.error(&keys.kernel, fault);
    }
    let vmm = vmm(raw, table);
    let image = image(raw, table);
    let append_at = append_at(raw, table);
    let shares = shares(raw, table);
    let kernel = table.optional(&keys.kernel, path);
    let initrd = table.optional(&keys.initrd, path);
    let kernel_sha256 = table.optional(&keys.kernel_sha256, |text| sha256(text));
    let disks: Vec<_> = raw.disks.iter().map(|raw| disk(raw, table)).collect();
    let virtiofsd = table.optional(&keys.virtiofsd, path);
    let initrd_append = table.optional(&keys.initrd_append, template);
    let append = table.optional(&keys.append, template);
    let files = table.or(&keys.files, Vec::new(), |files| {
        let one = |(inside, outside): &(String, String)| Ok((inside.clone(), path(outside)?));
        files.iter().map(one).collect()
    });
    let machine = table.or(&keys.machine, Machine::Q35, value::choice(&MACHINES));
    let cpu = table.optional(&keys.cpu, cpu_model);
    let nic = table.or(&keys.nic, Nic::VirtioPci, value::choice(&NICS));
    let stop = table.or(&keys.stop, Stop::Powerdown, value::choice(&STOPS));
    let memory_mib = table.or(
        &keys.memory_mib,
        128,
        value::integer("the memory of a guest in MiB", 8..=1 << 20, 128),
    );
    let vnet_hdr = table.or(&keys.vnet_hdr, true, value::any);
    let random = table.or(&keys.random, true, value::any);
    let rest = table.optional(&keys.rest, value::integer("a port", 0..=65_535, 8000));
    let example = "ready = \"Booted up\", a pattern for the console line that shows that the guest is up";
    let ready = table.required(&keys.ready, example, regex);
    let panic = table.optional(&keys.panic, regex);
    let exited = table.optional(&keys.exited, exited);
    let (vmm, program) = vmm?;
    Some(Guest {
        vmm,
        program,
        kernel: kernel?,
        kernel_sha256: kernel_sha256?,
        initrd: initrd?,
        initrd_append: initrd_append?,
        disks: disks.into_iter().collect::<Option<_>>()?,
        shares: shares?,
        virtiofsd: virtiofsd?,
        image: image?,
        files: files?,
        machine: machine?,
        cpu: cpu?,
        memory_mib: memory_mib?,
        append: append?,
        append_at: append_at?,
        nic: nic?,
        vnet_hdr: vnet_hdr?,
        random: random?,
        rest: rest?,
        stop: stop?,
        ready: ready?,
        panic: panic?,
        exited: exited?,
    })
}

/// The hypervisor, with its program if the description names one.
fn vmm(raw: &RawGuest, table: &mut TableCheck<'_>) -> Option<(Vmm, Option<PathBuf>)> {
    let found = table.or(&raw.keys.vmm, (Vmm::Qemu, None), |text| Vmm::parse(text))?;
    found.0.check(raw, table);
    Some(found)
}

fn shares(raw: &RawGuest, table: &mut TableCheck<'_>) -> Option<Vec<Share>> {
    let keys = &raw.keys;
    let makes_one = keys.image.value().is_some_and(|image| image == "virtiofs");
    if raw.shares.is_empty() && !makes_one {
        table.forbid(&keys.virtiofsd, "there are no shares to serve", REMOVE);
    }
    let mut shares: Vec<Share> = Vec::new();
    let mut all = Some(());
    for raw in &raw.shares {
        let table = &mut table.elsewhere(&raw.section);
        let Some(share) = share(raw, table) else {
            all = None;
            continue;
        };
        if shares.iter().any(|other| other.tag == share.tag) || makes_one && share.tag == ROOT {
            let fault = Fault::new("this is the tag of another share", "give every share a tag of its own");
            table.error(&raw.tag, fault);
        }
        shares.push(share);
    }
    all.map(|()| shares)
}

fn share(raw: &RawShare, table: &mut TableCheck<'_>) -> Option<Share> {
    let path = table.required(&raw.path, "path = \"/srv/data\"", path);
    let tag = table.required(&raw.tag, "tag = \"data\"", |tag| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=TAG_BYTES).contains(&tag.len()) && tag.chars().all(plain) {
            return Ok(tag.clone());
        }
        let remedy = format!("use 1 to {TAG_BYTES} letters, digits, `-`, `_` and `.`");
        Err(Fault::new("invalid tag", remedy))
    });
    let writable = table.or(&raw.writable, false, value::any);
    Some(Share {
        path: path?,
        tag: tag?,
        writable: writable?,
    })
}

fn image(raw: &RawGuest, table: &mut TableCheck<'_>) -> Option<Image> {
    let keys = &raw.keys;
    let kind = table.or(&keys.image, ImageKind::None, value::choice(&IMAGES))?;
    if kind != ImageKind::Initramfs {
        table.forbid(&keys.modules, "only the image \"initramfs\" loads modules", REMOVE);
    }
    let start = table.or(&keys.start, CloudStart::Unit, value::choice(&STARTS))?;
    if kind != ImageKind::Cloud {
        let what = "only the image \"cloud\" can be started in two ways";
        table.forbid(&keys.start, what, REMOVE);
    }
    match kind {
        ImageKind::None => Some(Image::None),
        ImageKind::Rofs => Some(Image::Rofs(RofsImage {})),
        ImageKind::Virtiofs => Some(Image::Virtiofs(VirtiofsImage {})),
        ImageKind::Cloud => {
            if raw.disks.is_empty() {
                let what = "the image \"cloud\" needs a disk with a distribution that has cloud-init";
                table.error(
                    &keys.image,
                    Fault::new(what, "add [[disks]] (see deploy/linux/disk.sh)"),
                );
            }
            Some(Image::Cloud(CloudImage { start }))
        }
        ImageKind::Initramfs => initramfs(keys, table),
    }
}

fn initramfs(keys: &RawKeys, table: &mut TableCheck<'_>) -> Option<Image> {
    let what = "the image \"initramfs\" builds its own";
    table.forbid(&keys.initrd, what, "remove one of the two");
    let example = "modules = \"/opt/linux/modules\", the directory of the kernel's modules (deploy/linux/kernel.sh)";
    let modules = table.required(&keys.modules, example, path);
    let load = table.or(&keys.load, Vec::new(), value::any);
    let init = table.optional(&keys.init, path);
    Some(Image::Initramfs(InitramfsImage {
        modules: modules?,
        load: load?,
        init: init?,
    }))
}

/// Where boot arguments are written on the first disk. Without boot arguments the disk keeps those it has.
fn append_at(raw: &RawGuest, table: &mut TableCheck<'_>) -> Option<Option<u64>> {
    let keys = &raw.keys;
    let at = table.optional(&keys.append_at, value::integer("an offset", 0..=i64::MAX, 512))?;
    if at.is_none() {
        return Some(None);
    }
    if !keys.kernel.is_absent() {
        let what = "a kernel gets its arguments directly";
        table.error(&keys.append_at, Fault::new(what, "remove one of the two"));
    }
    let is_writable = |disk: &RawDisk| disk.writable.value().is_some_and(|writable| *writable);
    if raw.disks.first().is_some_and(|disk| !is_writable(disk)) {
        let what = "boot arguments are written to an overlay of the first disk";
        table.forbid(&keys.append, what, "set `writable = true` there, or remove `append`");
    }
    Some(at)
}

fn disk(raw: &RawDisk, table: &mut TableCheck<'_>) -> Option<Disk> {
    let table = &mut table.elsewhere(&raw.section);
    let path = table.required(&raw.path, "path = \"/images/guest.qcow2\"", path);
    let format = table.required(&raw.format, "format = \"qcow2\"", value::choice(&FORMATS));
    let writable = table.or(&raw.writable, false, value::any);
    Some(Disk {
        path: path?,
        format: format?,
        writable: writable?,
    })
}

/// A path that QEMU cannot misread: absolute, and without the comma that separates multiboot modules.
fn path(text: &String) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(text);
    if path.is_absolute() && !text.contains([',', ' ']) && !text.contains(char::is_control) {
        return Ok(path);
    }
    let remedy = "write an absolute path without spaces, commas and control characters";
    Err(Fault::new("invalid path", remedy))
}

/// A CPU model with flags, which must stay one argument of QEMU's.
fn cpu_model(text: &String) -> Result<String, Fault> {
    let named = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if named && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,=+".contains(c)) {
        return Ok(text.clone());
    }
    let remedy = "write one that `qemu-system-x86_64 -cpu help` lists, with flags such as \"host,-pmu\"";
    Err(Fault::new("invalid CPU model", remedy))
}

fn sha256(text: &str) -> Result<String, Fault> {
    let hash = text.to_ascii_lowercase();
    if hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(hash);
    }
    let remedy = "write the 64 hexadecimal digits that `sha256sum` prints";
    Err(Fault::new("invalid hash", remedy))
}

fn template(text: &String) -> Result<Template, Fault> {
    let remedy = format!("write text and the placeholders {PLACEHOLDERS}");
    text.parse()
        .map_err(|error: TemplateError| Fault::new(error.to_string(), remedy))
}

fn regex(pattern: &String) -> Result<Regex, Fault> {
    let regex = RegexBuilder::new(pattern).size_limit(1 << 20).build();
    regex.map_err(|error| {
        let what = error.to_string().replace('\n', " ");
        Fault::new(what, "write a regular expression, e.g. \"panicked at\"")
    })
}

fn exited(pattern: &String) -> Result<Regex, Fault> {
    let regex = regex(pattern)?;
    if regex.captures_len() == 2 {
        return Ok(regex);
    }
    let what = "the pattern needs one group, the exit code";
    Err(Fault::new(what, "write e.g. \"returned (\\\\d+)\""))
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
