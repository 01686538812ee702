//! Reads back what [`super::jtl`] wrote: row by row, tolerant of nothing.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::error::{At, StoreError};
use super::jtl;
use loader::{ErrorKind, Request};

/// An iterator over the rows of a file, holding one line at a time.
#[derive(Debug)]
pub struct JtlReader<R> {
    input: R,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
    labels: Vec<String>,
}

impl JtlReader<BufReader<File>> {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Malformed`] for another header than ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).at(path, "open")?;
        Self::new(BufReader::with_capacity(1 << 18, file), path)
    }
}

impl<R: BufRead> JtlReader<R> {
    /// Checks the header of `input`; `path` is for messages.
    ///
    /// # Errors
    /// As [`JtlReader::open`].
    pub fn new(input: R, path: &Path) -> Result<Self, StoreError> {
        let mut reader = Self {
            input,
            path: path.to_owned(),
            line: Vec::new(),
            number: 0,
            labels: Vec::new(),
        };
        reader.advance()?;
        if reader.line != jtl::header().as_bytes() {
            return Err(StoreError::malformed(
                path,
                1,
                "the header is not the one that Jung writes",
            ));
        }
        Ok(reader)
    }

    /// The line of the last row with its newline, byte for byte.
    pub fn raw(&self) -> &[u8] {
        &self.line
    }

    /// The next row; `None` at the end. A file does not say whether its rows are of the warm-up: they are returned as if not.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Malformed`] for a row that is cut short or makes no sense.
    pub fn next_row(&mut self) -> Result<Option<Request>, StoreError> {
        if !self.advance()? {
            return Ok(None);
        }
        let row = parse(&self.line, &mut self.labels);
        row.map(Some)
            .ok_or_else(|| StoreError::malformed(&self.path, self.number, "not a row of 22 fields as Jung writes them"))
    }

    /// The labels of the rows so far, in the order in which they came; rows name their places in here.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    fn advance(&mut self) -> Result<bool, StoreError> {
        self.line.clear();
        self.number += 1;
        let read = self.input.read_until(b'\n', &mut self.line).at(&self.path, "read")?;
        if read > 0 && !self.line.ends_with(b"\n") {
            return Err(StoreError::malformed(
                &self.path,
                self.number,
                "the last line is cut off",
            ));
        }
        Ok(read > 0)
    }
}

/// Thread and connection of `Group <thread>-<connection>`, which the name of a loader may stand before; the thread is counted within its loader then.
fn thread_name(text: &str) -> Option<(&str, &str)> {
    let (loader, numbers) = text.rsplit_once("Group ")?;
    let is_name = |name: &str| name.parse::<protocol::Name>().is_ok();
    if !loader.is_empty() && !loader.strip_suffix('-').is_some_and(is_name) {
        return None;
    }
    numbers.split_once('-')
}

/// One line with its newline; `None` if it is not a row. Its label is looked up, or added.
fn parse(line: &[u8], labels: &mut Vec<String>) -> Option<Request> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut fields: [&str; 22] = [""; 22];
    let mut rest = Some(text);
    for field in &mut fields {
        let (first, after) = split_field(rest?)?;
        *field = first;
        rest = after;
    }
    if rest.is_some() {
        return None;
    }
    let number = |i: usize| fields[i].parse::<u64>().ok();
    let maybe = |i: usize| {
        if fields[i].is_empty() {
            Some(None)
        } else {
            number(i).map(Some)
        }
    };
    let error = match fields[7] {
        "true" => None,
        "false" => Some(ErrorKind::from_name(fields[8])?),
        _ => return None,
    };
    let (thread, connection) = thread_name(fields[5])?;
    for unused in [0, 1, 12, 14, 15, 16] {
        number(unused)?;
    }
    Some(Request {
        intended_ns: number(17)?,
        sent_ns: maybe(18)?,
        connected_ns: maybe(19)?,
        first_byte_ns: maybe(20)?,
        done_ns: number(21)?,
        label: place(labels, fields[2])?,
        status: if fields[3].is_empty() {
            0
        } else {
            fields[3].parse().ok()?
        },
        bytes_in: number(9)?,
        bytes_out: number(10)?,
        thread: u8::try_from(thread.parse::<u16>().ok()?.checked_sub(1)?).ok()?,
        connection: u32::try_from(connection.parse::<u64>().ok()?.checked_sub(1)?).ok()?,
        in_flight: u32::try_from(number(11)?).ok()?,
        error,
        warm_up: false,
    })
}

/// The place of a label among those that came before; `None` if there are too many.
fn place(labels: &mut Vec<String>, label: &str) -> Option<u16> {
    let place = labels.iter().position(|known| known == label).unwrap_or_else(|| {
        labels.push(label.to_owned());
        labels.len() - 1
    });
    u16::try_from(place).ok()
}

/// The first field without its quotes (doubled ones inside stay doubled), and what follows its comma.
fn split_field(text: &str) -> Option<(&str, Option<&str>)> {
    let Some(inner) = text.strip_prefix('"') else {
        return Some(
            text.split_once(',')
                .map_or((text, None), |(first, rest)| (first, Some(rest))),
        );
    };
    let bytes = inner.as_bytes();
    let mut at = 0;
    loop {
        at += inner.get(at..)?.find('"')?;
        match bytes.get(at + 1) {
            Some(b'"') => at += 2,
            Some(b',') => return Some((&inner[..at], Some(&inner[at + 2..]))),
            None => return Some((&inner[..at], None)),
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::jtl::{JtlContext, JtlWriter};
    use super::*;
    use loader::Label;
    use loader::arbitrary::requests;
    use proptest::prelude::*;

    /// A good request that was due then and took 1.6 ms.
    pub fn request(intended_ns: u64) -> Request {
        Request {
            intended_ns,
            sent_ns: Some(intended_ns + 10_000),
            connected_ns: Some(intended_ns + 600_000),
            first_byte_ns: Some(intended_ns + 1_000_000),
            done_ns: intended_ns + 1_600_000,
            label: 0,
            status: 200,
            bytes_in: 1100,
            bytes_out: 60,
            thread: 0,
            connection: 0,
            in_flight: 1,
            error: None,
            warm_up: false,
        }
    }

    fn written(requests: &[Request], label: &str) -> Vec<u8> {
        let context = JtlContext {
            groups: Vec::new(),
            label: "l".into(),
            labels: vec![Label {
                name: label.into(),
                url: "http://[::1]:80/".into(),
            }],
            origin_epoch_ns: 5_000_000,
        };
        let mut writer = JtlWriter::new(Vec::new(), &context).unwrap();
        for request in requests {
            writer.row(request).unwrap();
        }
        writer.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Request>, StoreError> {
        let mut reader = JtlReader::new(bytes, Path::new("x.jtl"))?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            rows.push(row);
        }
        Ok(rows)
    }

    #[test]
    fn a_cut_line_is_refused_with_its_number() {
        let bytes = written(&[request(0), request(9)], "l");
        let error = read(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
        assert!(error.starts_with("x.jtl:3: the last line is cut off"), "{error}");
        let fewer = String::from_utf8(bytes).unwrap().replacen(",text,", ",", 1);
        assert!(read(fewer.as_bytes()).unwrap_err().to_string().contains("x.jtl:2:"));
    }

    #[test]
    fn rows_of_several_loaders_are_read_and_those_of_nobody_are_not() {
        let text = String::from_utf8(written(&[request(0)], "l")).unwrap();
        let named = |name: &str| text.replace("Group 1-1", name);
        for (name, place) in [("Group 3-2", (2, 1)), ("lab-2-Group 3-2", (2, 1))] {
            let row = read(named(name).as_bytes()).unwrap()[0];
            assert_eq!((row.thread, row.connection), place, "{name}");
        }
        for bad in [
            "-Group 1-1",
            "A-Group 1-1",
            "lab-2Group 1-1",
            "lab-2-Group 1",
            "Group 0-1",
        ] {
            assert!(read(named(bad).as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_header_is_refused() {
        assert!(read(b"timeStamp,elapsed\n").is_err());
        assert!(read(b"").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in proptest::collection::vec(requests(), 0..20), label in ".{0,20}") {
            // A file of the window says nothing of the warm-up, and this one has one label.
            let all: Vec<_> = all.into_iter().map(|r| Request { label: 0, warm_up: false, ..r }).collect();
            prop_assert_eq!(read(&written(&all, &label)).unwrap(), all);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = jtl::header().into_bytes();
            file.extend(bytes);
            let _ = read(&file);
        }
    }
}
