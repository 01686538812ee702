//! `samples.csv`: the runner's raw counters, one row per sample, one column per counter.
//!
//! `batch`; `offset_ns`, ns after READY on the runner's monotonic clock; `of`, the kind of subject; `service`, its service;
//! `name`, which of several (a role, a part of the platform, an interface, an energy domain); `pid` and `start_ticks`, which identify a process. Then
//! every counter by its name; empty: not read in this sample, not readable, or not applicable.

use std::path::Path;

use protocol::Name;
use protocol::sample::{
    Counter, Counters, Energy, GuestThread, Link, OtherProcessesRef, PlatformProcess, ProcessKind, ProcessRef,
    QemuThreads, Role, Sample, Samples, ServiceProcess, ServiceRef, Subject, WholeHost,
};

use super::error::{At, StoreError};
use crate::stats::recording::kind_and_name;

/// The columns before the counters.
const HEAD: [&str; 7] = ["batch", "offset_ns", "of", "service", "name", "pid", "start_ticks"];

/// The header fields.
fn columns() -> impl Iterator<Item = &'static str> {
    HEAD.into_iter()
        .chain(Counter::ALL.iter().map(|counter| counter.name()))
}

/// Serialises batches.
///
/// # Errors
/// The CSV library's error; it does not occur in memory.
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

/// The subject as `of`, `service`, `name`, `pid` and `start_ticks`.
fn head(subject: &Subject) -> [String; 5] {
    let service = subject.service().map(Name::to_string).unwrap_or_default();
    let (of, name) = kind_and_name(subject);
    let process = match subject {
        Subject::Process(of) => Some((of.pid, of.start_ticks)),
        Subject::Platform(of) => Some((of.pid, of.start_ticks)),
        Subject::Runner(of) => Some((of.pid, of.start_ticks)),
        Subject::GuestThread(of) => Some((of.id, 0)),
        _ => None,
    };
    let [pid, start] = process.map_or_else(Default::default, |(pid, start)| [pid.to_string(), start.to_string()]);
    [of.to_owned(), service, name, pid, start]
}

/// Reads `samples.csv`; the division into batches is lost.
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Malformed`] with the line.
pub fn read(path: &Path) -> Result<Vec<Sample>, StoreError> {
    let bad = |line: u64, why: String| StoreError::malformed(path, line, why);
    let bytes = std::fs::read(path).at(path, "read")?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|e| bad(1, e.to_string()))?;
    if !header.iter().eq(columns()) {
        return Err(bad(1, "unexpected header".to_owned()));
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
    let unknown = |what: &str| format!("unknown {what} {:?}", field(4));
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
        other => return Err(format!("unknown subject {other:?}")),
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
    fn counters_of_every_subject_survive_the_round_trip() {
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
    fn a_malformed_row_is_an_error_with_its_line() {
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
