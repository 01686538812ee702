//! Memory of processes that touch a known amount, a part of it shared.

use std::fs::File;
use std::os::fd::AsRawFd;

use protocol::sample::{Counter, Counters};
use runner::sampler::process::Process;
use runner::sampler::source::{Depth, Reader};

use super::child::{self, Played};
use super::table::Table;

/// Shared pages: 1 to 8 divide it, so that every process's part is whole.
const SHARED: u64 = 8400;
/// Pages of each process alone.
const PRIVATE: u64 = 1000;

/// 1 to 8 processes.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let page = runner::facts::page_bytes();
    let file = tempfile_in_memory(SHARED * page)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    for count in [1, 2, 3, 5, 8] {
        let start = || Played::start(&["play-hold", &path, &SHARED.to_string(), &PRIVATE.to_string()]);
        let mut played: Vec<Played> = (0..count).map(|_| start()).collect::<Result<_, _>>()?;
        for one in &mut played {
            one.hear()?;
            one.tell()?;
            one.hear()?;
        }
        let before = sums(&played)?;
        for one in &mut played {
            one.tell()?;
            one.hear()?;
        }
        let after = sums(&played)?;
        let grown = |counter| after.get(counter).unwrap_or(0) as f64 - before.get(counter).unwrap_or(0) as f64;
        let pages = |bytes: f64| bytes / page as f64;
        let all = (count * (SHARED + PRIVATE)) as f64;
        let rss = pages(grown(Counter::RssBytes)) - all;
        let pss = pages(grown(Counter::PssShmemBytes) + grown(Counter::PssAnonBytes));
        let (kernels, real) = (
            pages(kernels_pss(count, page) as f64),
            (SHARED + count * PRIVATE) as f64,
        );
        let off = format!(
            "RSS {rss:+.0} of {all:.0} pages; PSS {:+.2} of the {kernels:.2} pages of the kernel's arithmetic, {:+.2} of the {real:.0} that there are",
            pss - kernels,
            pss - real
        );
        let met = rss == 0.0 && pss == kernels;
        table.row(
            &format!("memory, {count} processes that share {SHARED} pages and have {PRIVATE} each"),
            "exact to the page",
            &off,
            met,
        );
    }
    Ok(())
}

/// The PSS of all processes together as the kernel counts it, bytes. It adds up 1/4096 of a byte: of a page that n processes have mapped each gets
/// 1/n, rounded down to that; and it tells KiB, rounded down (`fs/proc/task_mmu.c`, `PSS_SHIFT`). So each process is less than a KiB short.
fn kernels_pss(count: u64, page: u64) -> u64 {
    const SHIFT: u32 = 12;
    let shared = SHARED * ((page << SHIFT) / count);
    count * (((shared >> SHIFT) >> 10 << 10) + PRIVATE * page)
}

fn sums(played: &[Played]) -> anyhow::Result<Counters> {
    let mut reader = Reader::new(runner::facts::page_bytes());
    let mut sums = Counters::default();
    for one in played {
        let process = Process::find(std::path::Path::new("/proc"), one.pid(), None, &mut reader)?;
        let counters = process
            .map(|mut process| process.read(Depth::Checkpoint, &mut reader))
            .transpose()?
            .flatten();
        for (counter, value) in counters.iter().flat_map(Counters::iter) {
            sums.add(counter, value);
        }
    }
    Ok(sums)
}

fn tempfile_in_memory(bytes: u64) -> anyhow::Result<File> {
    let path = std::path::Path::new("/dev/shm").join(format!("jung-bench-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    file.set_len(bytes)?;
    Ok(file)
}

/// Maps a file and as much of its own, touches every page when told, and waits.
pub fn hold(path: &str, shared: u64, private: u64) {
    let page = usize::try_from(runner::facts::page_bytes()).unwrap_or(4096);
    let pages = |count: u64| usize::try_from(count).unwrap_or(0) * page;
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return;
    };
    let shared = (map(Some(&file), pages(shared)), pages(shared));
    let private = (map(None, pages(private)), pages(private));
    // A rehearsal, after which the code that it takes is in memory.
    let rehearsal = map(None, page);
    for (place, bytes) in [(rehearsal, 0), (rehearsal, page)] {
        touch(place, bytes, page);
        child::say("ready");
        child::wait();
    }
    touch(shared.0, shared.1, page);
    touch(private.0, private.1, page);
    child::say("touched");
    child::wait();
}

#[expect(unsafe_code, reason = "a mapping is made for its memory alone")]
fn map(file: Option<&File>, bytes: usize) -> *mut u8 {
    let flags = if file.is_some() {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS
    };
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: a new mapping at a place that the kernel chooses; it stays until the process ends.
    unsafe {
        let place = libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            fd,
            0,
        );
        assert!(place != libc::MAP_FAILED, "no memory");
        libc::madvise(place, bytes, libc::MADV_NOHUGEPAGE);
        place.cast()
    }
}

#[expect(unsafe_code, reason = "every page is written once")]
fn touch(place: *mut u8, bytes: usize, page: usize) {
    for offset in (0..bytes).step_by(page) {
        // SAFETY: within a mapping of that length that nobody else in this process uses.
        unsafe { place.add(offset).write_volatile(1) };
    }
}
