//! `samples.csv`: the raw counters of the runner as they arrived, one row a sample, one column a counter.
//!
//! `batch` the batch it came in; `offset_ns` ns after READY on the runner's monotonic clock; `of` what kind of thing was sampled, `service` whose it is,
//! `name` which of them (a role, a part of the platform, an interface, a domain of energy); `pid` and `start_ticks`, which together name a process. Then
//! every counter by its name; empty: not read in this sample, not readable, or not a thing's of this kind.

use std::path::Path;

use protocol::Name;
use protocol::sample::{
    Counter, Counters, Energy, GuestThread, Link, OtherProcessesRef, PlatformProcess, ProcessKind, ProcessRef,
    QemuThreads, Role, Sample, Samples, ServiceProcess, ServiceRef, Subject, WholeHost,
};

use super::error::{At, StoreError};

/// The columns before the counters.
const HEAD: [&str; 7] = ["batch", "offset_ns", "of", "service", "name", "pid", "start_ticks"];

/// The header.
fn columns() -> impl Iterator<Item = &'static str> {
    HEAD.into_iter()
        .chain(Counter::ALL.iter().map(|counter| counter.name()))
}

/// The file's bytes.
///
/// # Errors
/// The library's, in words; it does not happen in memory.
pub fn to_csv(batches: &[Samples]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns()).map_err(|e| e.to_string())?;
    for batch in batches {
        for sample in &batch.samples {
            let [of, service, name, pid, start] = head(&sample.of);
            let head = [
                batch.batch.to_string(),
                sample.offset_ns.to_string(),
                of,
                service,
                name,
                pid,
                start,
            ];
            let figure = |&counter: &Counter| {
                sample
                    .counters
                    .get(counter)
                    .map_or_else(String::new, |value| value.to_string())
            };
            let row = head.into_iter().chain(Counter::ALL.iter().map(figure));
            writer.write_record(row).map_err(|e| e.to_string())?;
        }
    }
    writer.into_inner().map_err(|e| e.to_string())
}

/// What was sampled, as `of`, `service`, `name`, `pid` and `start_ticks`.
fn head(subject: &Subject) -> [String; 5] {
    let service = subject.service().map(Name::to_string).unwrap_or_default();
    let (of, name, process) = match subject {
        Subject::Cgroup(_) => ("cgroup", String::new(), None),
        Subject::Process(of) => ("process", String::new(), Some((of.pid, of.start_ticks))),
        Subject::Threads(of) => ("threads", of.role.as_str().to_owned(), None),
        Subject::Platform(of) => ("platform", of.part.to_string(), Some((of.pid, of.start_ticks))),
        Subject::Runner(of) => ("runner", String::new(), Some((of.pid, of.start_ticks))),
        Subject::OtherProcesses(of) => ("rest", of.kind.as_str().to_owned(), None),
        Subject::Host(_) => ("host", String::new(), None),
        Subject::Link(of) => ("link", of.interface.clone(), None),
        Subject::Engine(_) => ("engine", String::new(), None),
        Subject::Guest(_) => ("guest", String::new(), None),
        Subject::GuestThread(of) => ("guest-thread", of.name.clone(), Some((of.id, 0))),
        Subject::Energy(of) => ("energy", of.domain.clone(), None),
    };
    let [pid, start] = process.map_or_else(Default::default, |(pid, start)| [pid.to_string(), start.to_string()]);
    [of.to_owned(), service, name, pid, start]
}

/// Reads `samples.csv`; the batches are not restored.
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Malformed`] with the line.
pub fn read(path: &Path) -> Result<Vec<Sample>, StoreError> {
    let bad = |line: u64, why: String| StoreError::malformed(path, line, why);
    let bytes = std::fs::read(path).at(path, "read")?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|e| bad(1, e.to_string()))?;
    if !header.iter().eq(columns()) {
        return Err(bad(1, "the header is not the one that Jung writes".to_owned()));
    }
    let rows = reader.into_records().enumerate();
    rows.map(|(i, row)| {
        let line = i as u64 + 2;
        let row = row.map_err(|e| bad(line, e.to_string()))?;
        sample(&row).map_err(|why| bad(line, why))
    })
    .collect()
}

fn sample(row: &csv::StringRecord) -> Result<Sample, String> {
    let field = |column: usize| row.get(column).unwrap_or_default();
    let number = |column: usize| {
        field(column)
            .parse::<u64>()
            .map_err(|e| format!("{:?}: {e}", field(column)))
    };
    number(0)?;
    let mut counters = Counters::default();
    for (place, &counter) in Counter::ALL.iter().enumerate() {
        if !field(HEAD.len() + place).is_empty() {
            counters.put(counter, number(HEAD.len() + place)?);
        }
    }
    Ok(Sample {
        offset_ns: number(1)?,
        of: subject(row)?,
        counters,
    })
}

fn subject(row: &csv::StringRecord) -> Result<Subject, String> {
    let field = |column: usize| row.get(column).unwrap_or_default();
    let name = |text: &str| text.parse::<Name>().map_err(|e| e.to_string());
    let service = || name(field(3));
    let any_service = || (!field(3).is_empty()).then(service).transpose();
    let pid = || field(5).parse::<u32>().map_err(|e| format!("pid {:?}: {e}", field(5)));
    let start = || {
        field(6)
            .parse::<u64>()
            .map_err(|e| format!("start {:?}: {e}", field(6)))
    };
    let unknown = |what: &str| format!("no {what} is called {:?}", field(4));
    Ok(match field(2) {
        "cgroup" => Subject::Cgroup(ServiceRef { service: service()? }),
        "engine" => Subject::Engine(ServiceRef { service: service()? }),
        "guest" => Subject::Guest(ServiceRef { service: service()? }),
        "guest-thread" => Subject::GuestThread(GuestThread {
            service: service()?,
            id: pid()?,
            name: field(4).to_owned(),
        }),
        "process" => Subject::Process(ServiceProcess {
            service: service()?,
            pid: pid()?,
            start_ticks: start()?,
        }),
        "threads" => Subject::Threads(QemuThreads {
            service: service()?,
            role: Role::ALL
                .into_iter()
                .find(|role| role.as_str() == field(4))
                .ok_or_else(|| unknown("role"))?,
        }),
        "platform" => Subject::Platform(PlatformProcess {
            part: name(field(4))?,
            service: any_service()?,
            pid: pid()?,
            start_ticks: start()?,
        }),
        "runner" => Subject::Runner(ProcessRef {
            pid: pid()?,
            start_ticks: start()?,
        }),
        "rest" => {
            let kinds = [ProcessKind::Kernel, ProcessKind::Programs];
            let kind = kinds.into_iter().find(|kind| kind.as_str() == field(4));
            Subject::OtherProcesses(OtherProcessesRef {
                kind: kind.ok_or_else(|| unknown("rest"))?,
            })
        }
        "host" => Subject::Host(WholeHost {}),
        "link" => Subject::Link(Link {
            service: any_service()?,
            interface: field(4).to_owned(),
        }),
        "energy" => Subject::Energy(Energy {
            domain: field(4).to_owned(),
        }),
        other => return Err(format!("nothing is sampled as {other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn subjects() -> Vec<Subject> {
        let service = name("tcp");
        let of = ServiceRef {
            service: service.clone(),
        };
        let mut subjects = vec![
            Subject::Cgroup(of.clone()),
            Subject::Engine(of.clone()),
            Subject::Guest(of),
            Subject::GuestThread(GuestThread {
                service: service.clone(),
                id: 3,
                name: "a, \"odd\" one".into(),
            }),
            Subject::Process(ServiceProcess {
                service: service.clone(),
                pid: 7,
                start_ticks: 99,
            }),
            Subject::Runner(ProcessRef { pid: 8, start_ticks: 9 }),
            Subject::Host(WholeHost {}),
            Subject::Energy(Energy {
                domain: "package-0/dram".into(),
            }),
        ];
        for service in [None, Some(service.clone())] {
            subjects.push(Subject::Link(Link {
                service: service.clone(),
                interface: "a, \"odd\" one".into(),
            }));
            subjects.push(Subject::Platform(PlatformProcess {
                part: name("dockerd"),
                service,
                pid: 1,
                start_ticks: 2,
            }));
        }
        let role = |role| QemuThreads {
            service: service.clone(),
            role,
        };
        subjects.extend(Role::ALL.map(|one| Subject::Threads(role(one))));
        subjects.extend(
            [ProcessKind::Kernel, ProcessKind::Programs]
                .map(|kind| Subject::OtherProcesses(OtherProcessesRef { kind })),
        );
        subjects
    }

    #[test]
    fn counters_of_everything_survive_the_round_trip() {
        let sample = |(number, of): (usize, Subject)| Sample {
            offset_ns: number as u64,
            of,
            counters: Counter::ALL[number..]
                .iter()
                .step_by(7)
                .map(|&counter| (counter, u64::MAX - number as u64))
                .collect(),
        };
        let samples: Vec<Sample> = subjects().into_iter().enumerate().map(sample).collect();
        let batch = Samples {
            batch: 3,
            samples: samples.clone(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.csv");
        for (batches, expected) in [(vec![batch], samples), (vec![], vec![])] {
            std::fs::write(&path, to_csv(&batches).unwrap()).unwrap();
            assert_eq!(read(&path).unwrap(), expected);
        }
    }

    #[test]
    fn what_was_tampered_with_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.csv");
        let header = String::from_utf8(to_csv(&[]).unwrap()).unwrap();
        let empty = ",".repeat(Counter::ALL.len());
        for (text, line) in [
            ("a,b\n1,2\n".to_owned(), ":1:"),
            (format!("{header}0,1,ghost,,,,{empty}\n"), ":2:"),
            (
                format!("{header}0,1,host,,,,{empty}\n0,1,rest,,angels,,{empty}\n"),
                ":3:",
            ),
            (format!("{header}0,-1,host,,,,{empty}\n"), ":2:"),
            (format!("{header}0,1,process,tcp,,x,1{empty}\n"), ":2:"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("samples.csv") && error.contains(line), "{error}");
        }
    }
}
