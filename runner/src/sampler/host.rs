//! The whole host: its counters, network interfaces and energy.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use protocol::sample::{Counter, Counters};
use protocol::summary::HostUsage;

use super::open_file::{OpenFile, Read};
use super::parse::{self, ParseError};
use super::reader::{Depth, Reader, Source, Sources};

/// The largest number of interfaces per network namespace that are sampled.
const INTERFACES: usize = 16;

/// The CPU time of the whole host from `/proc/stat`; `None`: not readable.
pub(crate) fn host_use(root: &Path) -> Option<HostUsage> {
    let text = fs::read(root.join("stat")).ok()?;
    parse::host(&text).ok()
}

/// The counters of the whole host, from `/proc` or a recorded one in tests.
#[derive(Debug)]
pub struct Host {
    sources: Sources,
    /// Whether the kernel accounts interrupts separately; `None`: unknown.
    irq_apart: Option<bool>,
}

impl Host {
    /// Opens the files that this kernel has. `tasks` is the file with the CPU time of all tasks; `None`: the scheduler's own statistics.
    pub fn open(root: &Path, tasks: Option<Source>, reader: &mut Reader) -> Self {
        let source = |&(name, parse): &(&'static str, parse::Parser)| Source {
            name,
            path: root.join(name),
            quick: false,
            parse,
        };
        Self {
            sources: Sources::open(
                "the host".to_owned(),
                parse::host::FILES
                    .iter()
                    .map(source)
                    .chain([tasks.unwrap_or_else(|| source(&parse::host::OF_SCHEDULER))]),
                reader,
            ),
            irq_apart: kernel_config(root).as_deref().map(accounts_interrupts_separately),
        }
    }

    /// Reads its counters.
    pub fn read(&self, reader: &mut Reader) -> Counters {
        let mut counters = self.sources.read(Depth::Full, reader);
        if let Some(apart) = self.irq_apart {
            counters.put(Counter::IrqApart, apart.into());
        }
        counters
    }
}

/// The kernel's build configuration, from its package or from `/proc/config.gz`; `None`: neither exists.
fn kernel_config(root: &Path) -> Option<String> {
    let of_package = fs::read_to_string(format!("/boot/config-{}", release(root)));
    let of_kernel = || {
        let mut text = String::new();
        let file = fs::File::open(root.join("config.gz")).ok()?;
        GzDecoder::new(file).read_to_string(&mut text).ok()?;
        Some(text)
    };
    of_package.ok().or_else(of_kernel)
}

/// The kernel's release.
fn release(root: &Path) -> String {
    let text = fs::read_to_string(root.join("sys/kernel/osrelease")).unwrap_or_default();
    text.trim().to_owned()
}

/// Whether a kernel with this configuration accounts the time of interrupts separately from the processes that they interrupt.
fn accounts_interrupts_separately(config: &str) -> bool {
    config.lines().any(|line| line == "CONFIG_IRQ_TIME_ACCOUNTING=y")
}

/// The network interfaces in a process's namespace.
#[derive(Debug)]
pub struct Links {
    file: Option<OpenFile>,
    of: String,
}

impl Links {
    /// The interfaces of the host.
    pub fn of_host(root: &Path, reader: &mut Reader) -> Self {
        Self::open(&root.join("self/net/dev"), "the host".to_owned(), reader)
    }

    /// The interfaces of a process in a network namespace of its own; `None`: it shares the runner's.
    pub fn of_process(root: &Path, pid: u32, reader: &mut Reader) -> Option<Self> {
        let namespace = |who: &str| fs::read_link(root.join(who).join("ns/net")).ok();
        let (own, its) = (namespace("self")?, namespace(&pid.to_string())?);
        let path = root.join(format!("{pid}/net/dev"));
        (own != its).then(|| Self::open(&path, format!("pid {pid}"), reader))
    }

    fn open(path: &Path, of: String, reader: &mut Reader) -> Self {
        Self {
            file: reader.open("net/dev", path, &of),
            of,
        }
    }

    /// Reads the interfaces that have seen a packet.
    pub fn read(&self, reader: &mut Reader) -> Vec<(String, Counters)> {
        let Some(file) = &self.file else { return Vec::new() };
        let mut links = match file.read_to_end(&mut reader.buffer) {
            Ok(Read::Bytes(bytes)) => parse::host::links(&reader.buffer[..bytes]),
            Ok(Read::Gone) => Vec::new(),
            Err(error) => {
                reader.notes.unreadable("net/dev", &self.of, &error);
                Vec::new()
            }
        };
        let packets = |counters: &Counters| {
            let get = |counter| counters.get(counter).unwrap_or(0);
            get(Counter::ReceivedPackets) + get(Counter::SentPackets)
        };
        links.retain(|(_, counters)| packets(counters) > 0);
        links.truncate(INTERFACES);
        links
    }
}

/// The energy counters of the processor, one per domain.
#[derive(Debug)]
pub struct Energies(Vec<(String, Sources)>);

impl Energies {
    /// Opens them below `/sys`, or a recorded one in tests.
    pub fn open(sys: &Path, reader: &mut Reader) -> Self {
        let folder = sys.join("class/powercap");
        let listing = fs::read_dir(&folder).into_iter().flatten();
        let mut zones: Vec<String> = listing
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("intel-rapl:"))
            .collect();
        zones.sort();
        let domains = zones.iter().filter_map(|zone| {
            let domain = domain(&folder, zone)?;
            let source = |(name, parse): (&'static str, parse::Parser)| Source {
                name,
                path: folder.join(zone).join(name),
                quick: false,
                parse,
            };
            let files: [(&'static str, parse::Parser); 2] = [("energy_uj", energy), ("max_energy_range_uj", range)];
            let sources = Sources::open(domain.clone(), files.into_iter().map(source), reader);
            (!sources.is_empty()).then_some((domain, sources))
        });
        let domains = domains.collect();
        Self(domains)
    }

    /// Reads each of them.
    pub fn read(&self, reader: &mut Reader) -> Vec<(String, Counters)> {
        let read = |(domain, sources): &(String, Sources)| {
            let counters = sources.read(Depth::Full, reader);
            counters.get(Counter::EnergyUj).map(|_| (domain.clone(), counters))
        };
        self.0.iter().filter_map(read).collect()
    }
}

/// The name of a zone, prefixed with the names of its parents: `intel-rapl:0:1` is part of `intel-rapl:0`.
fn domain(folder: &Path, zone: &str) -> Option<String> {
    let name = |zone: &str| -> Option<String> {
        let text = fs::read_to_string(folder.join(zone).join("name")).ok()?;
        Some(text.trim().to_owned())
    };
    let ends: Vec<usize> = zone
        .match_indices(':')
        .map(|(at, _)| at)
        .skip(1)
        .chain([zone.len()])
        .collect();
    let names: Option<Vec<String>> = ends.iter().map(|&end| name(&zone[..end])).collect();
    Some(names?.join("/"))
}

fn energy(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    parse::single(text, Counter::EnergyUj, counters)
}

fn range(text: &[u8], counters: &mut Counters) -> Result<(), ParseError> {
    parse::single(text, Counter::EnergyRangeUj, counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_read() {
        let mut reader = Reader::new(4096);
        let host = Host::open(Path::new("/proc"), None, &mut reader);
        let counters = host.read(&mut reader);
        for counter in [
            Counter::UserTicks,
            Counter::Switches,
            Counter::MemoryBytes,
            Counter::AvailableBytes,
        ] {
            assert!(counters.get(counter).is_some_and(|value| value > 0), "{counter}");
        }
        assert_eq!(reader.notes.into_lines(), [] as [String; 0]);
    }

    #[test]
    fn the_kernel_config_says_whether_interrupts_are_separate() {
        assert!(accounts_interrupts_separately(
            "CONFIG_HZ=250\nCONFIG_IRQ_TIME_ACCOUNTING=y\n"
        ));
        assert!(!accounts_interrupts_separately(
            "# CONFIG_IRQ_TIME_ACCOUNTING is not set\nCONFIG_HAVE_IRQ_TIME_ACCOUNTING=y\n"
        ));
    }

    #[test]
    fn the_kernel_config_is_read_from_proc() {
        use std::io::Write as _;
        let root = tempfile::tempdir().unwrap();
        assert_eq!(kernel_config(root.path()), None);
        let file = fs::File::create(root.path().join("config.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packed.write_all(b"CONFIG_IRQ_TIME_ACCOUNTING=y\n").unwrap();
        packed.finish().unwrap();
        assert!(accounts_interrupts_separately(&kernel_config(root.path()).unwrap()));
        fs::write(root.path().join("config.gz"), "no gzip").unwrap();
        assert_eq!(kernel_config(root.path()), None);
    }

    #[test]
    fn a_process_in_the_runners_namespace_has_no_interfaces_of_its_own() {
        let mut reader = Reader::new(4096);
        let links = Links::of_host(Path::new("/proc"), &mut reader).read(&mut reader);
        assert!(
            links
                .iter()
                .all(|(name, counters)| !name.is_empty() && counters.len() == 8)
        );
        assert!(Links::of_process(Path::new("/proc"), std::process::id(), &mut reader).is_none());
    }

    #[test]
    fn energy_is_read_per_domain() {
        let sys = tempfile::tempdir().unwrap();
        let write = |zone: &str, name: &str, energy: &str| {
            let folder = sys.path().join("class/powercap").join(zone);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("name"), format!("{name}\n")).unwrap();
            fs::write(folder.join("energy_uj"), energy).unwrap();
            fs::write(folder.join("max_energy_range_uj"), "262143328850\n").unwrap();
        };
        write("intel-rapl:0", "package-0", "1000\n");
        write("intel-rapl:0:1", "dram", "20\n");
        write("intel-rapl:1", "psys", "tor");
        write("dtpm", "other", "1\n");
        let mut reader = Reader::new(4096);
        let energies = Energies::open(sys.path(), &mut reader);
        let read = energies.read(&mut reader);
        let figures: Vec<(&str, Option<u64>)> = read
            .iter()
            .map(|(domain, counters)| (domain.as_str(), counters.get(Counter::EnergyUj)))
            .collect();
        assert_eq!(figures, [("package-0", Some(1000)), ("package-0/dram", Some(20))]);
        assert_eq!(read[0].1.get(Counter::EnergyRangeUj), Some(262_143_328_850));
        assert!(Energies::open(&sys.path().join("none"), &mut reader).0.is_empty());
    }
}
