//! Memory of processes that touch a known number of pages, some of them shared.

use std::fs::File;
use std::os::fd::AsRawFd;

use protocol::sample::{Counter, Counters};
use runner::sampler::process::Process;
use runner::sampler::reader::{Depth, Reader};

use super::child::{self, Helper};
use super::table::Table;

/// Shared pages. 1 to 8 divide it, so that the share of every process is a whole number.
const SHARED: u64 = 8400;
/// Private pages of each process.
const PRIVATE: u64 = 1000;

/// 1 to 8 processes.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let page = runner::facts::page_bytes();
    let file = tempfile_in_memory(SHARED * page)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    for count in [1, 2, 3, 5, 8] {
        let start = || Helper::start(&["child-hold", &path, &SHARED.to_string(), &PRIVATE.to_string()]);
        let mut helper: Vec<Helper> = (0..count).map(|_| start()).collect::<Result<_, _>>()?;
        for one in &mut helper {
            one.read_line()?;
            one.proceed()?;
            one.read_line()?;
        }
        let before = sums(&helper)?;
        for one in &mut helper {
            one.proceed()?;
            one.read_line()?;
        }
        let after = sums(&helper)?;
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
            "RSS {rss:+.0} of {all:.0} pages; PSS {:+.2} of {kernels:.2} pages by the kernel's rounding, {:+.2} of {real:.0} pages touched",
            pss - kernels,
            pss - real
        );
        let met = rss == 0.0 && pss == kernels;
        table.row(
            &format!("memory, {count} processes with {SHARED} shared and {PRIVATE} private pages each"),
            "exact to the page",
            &off,
            met,
        );
    }
    Ok(())
}

/// The PSS of all processes together as the kernel rounds it, bytes. The kernel sums in units of 1/4096 byte, so the 1/n of a page that n processes map
/// is rounded down to that; and it prints KiB, rounded down (`fs/proc/task_mmu.c`, `PSS_SHIFT`). So each process is less than a KiB too low.
fn kernels_pss(count: u64, page: u64) -> u64 {
    const SHIFT: u32 = 12;
    let shared = SHARED * ((page << SHIFT) / count);
    count * (((shared >> SHIFT) >> 10 << 10) + PRIVATE * page)
}

fn sums(helper: &[Helper]) -> anyhow::Result<Counters> {
    let mut reader = Reader::new(runner::facts::page_bytes());
    let mut sums = Counters::default();
    for one in helper {
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

/// Maps a file and private memory, touches every page on request, and waits.
pub fn hold(path: &str, shared: u64, private: u64) {
    let page = usize::try_from(runner::facts::page_bytes()).unwrap_or(4096);
    let pages = |count: u64| usize::try_from(count).unwrap_or(0) * page;
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return;
    };
    let shared = (map(Some(&file), pages(shared)), pages(shared));
    let private = (map(None, pages(private)), pages(private));
    // A dry run first, so that the code that touches pages is in memory.
    let dry_run = map(None, page);
    for (address, bytes) in [(dry_run, 0), (dry_run, page)] {
        touch(address, bytes, page);
        child::print("ready");
        child::wait();
    }
    touch(shared.0, shared.1, page);
    touch(private.0, private.1, page);
    child::print("touched");
    child::wait();
}

#[expect(unsafe_code, reason = "no safe binding for anonymous memory of a raw length")]
fn map(file: Option<&File>, bytes: usize) -> *mut u8 {
    let flags = if file.is_some() {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS
    };
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: a new mapping at an address that the kernel chooses; it exists until the process ends.
    unsafe {
        let address = libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            fd,
            0,
        );
        assert!(address != libc::MAP_FAILED, "out of memory");
        libc::madvise(address, bytes, libc::MADV_NOHUGEPAGE);
        address.cast()
    }
}

#[expect(unsafe_code, reason = "every page is written once")]
fn touch(address: *mut u8, bytes: usize, page: usize) {
    for offset in (0..bytes).step_by(page) {
        // SAFETY: within a mapping of that length that nothing else in this process uses.
        unsafe { address.add(offset).write_volatile(1) };
    }
}
