//! Converts 64-bit multiboot kernels to a form that QEMU accepts.
//!
//! Multiboot 1 starts a kernel in 32-bit mode, and QEMU refuses 64-bit ELF files for it. IncludeOS builds just that: 64-bit code with a 32-bit entry. Here the
//! whole file becomes the only segment of a 32-bit ELF file:
//!
//! ```text
//! 0       ELF32 header, one program header
//! 0x1000  the kernel's file, loaded where its first segment belongs; its own headers stay readable there
//! ```
//!
//! This is correct for kernels whose segments have the same layout in the file as in memory, which is checked.

/// Offset of the kernel's file in the new one: a page, since its segments are page-aligned.
const AT: u32 = 0x1000;
/// A multiboot header must start within this many bytes.
const SEARCHED: usize = 8192;
/// Magic number of a multiboot header.
const MAGIC: u32 = 0x1bad_b002;
/// Flag of a header that contains load addresses; QEMU then ignores ELF.
const HAS_ADDRESSES: u32 = 1 << 16;
/// `p_type` of a loaded segment.
const PT_LOAD: u32 = 1;

/// Why a 64-bit multiboot kernel cannot be wrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// A header points outside of the file.
    #[error("its ELF headers are truncated")]
    Truncated,
    /// It has nothing to load.
    #[error("it has no segment to load")]
    NothingToLoad,
    /// The layout in the file differs from that in memory.
    #[error("its segments are laid out differently in the file and in memory")]
    Scattered,
    /// Beyond 32-bit addresses.
    #[error("it is loaded, or has its entry, above 4 GiB")]
    TooHigh,
}

/// The kernel as a 32-bit ELF file; `None` if QEMU accepts it as it is, or will report itself what is wrong.
///
/// # Errors
/// [`WrapError`].
pub fn wrap(kernel: &[u8]) -> Result<Option<Vec<u8>>, WrapError> {
    // 64-bit, little-endian, for x86-64.
    let elf64 = kernel.starts_with(b"\x7fELF\x02\x01") && kernel.get(18..20) == Some(&[62, 0]);
    if !elf64 || !has_header(kernel) {
        return Ok(None);
    }
    let layout = Layout::of(kernel)?;
    let mut file = layout.headers();
    file.resize(AT as usize, 0);
    file.extend_from_slice(&kernel[..layout.in_file as usize]);
    Ok(Some(file))
}

/// Whether there is a multiboot header that leaves the addresses to ELF.
fn has_header(kernel: &[u8]) -> bool {
    let searched = &kernel[..kernel.len().min(SEARCHED)];
    (0..searched.len()).step_by(4).any(|at| {
        let word = |nth: usize| u32_at(searched, at + 4 * nth).unwrap_or(0);
        let sound = word(0) == MAGIC && word(0).wrapping_add(word(1)).wrapping_add(word(2)) == 0;
        sound && word(1) & HAS_ADDRESSES == 0
    })
}

/// Where a kernel is loaded.
#[derive(Debug)]
struct Layout {
    entry: u32,
    /// The address of the file's first byte.
    base: u32,
    /// Bytes of the file that are loaded.
    in_file: u32,
    /// Bytes of memory from its base on.
    in_memory: u32,
}

impl Layout {
    fn of(kernel: &[u8]) -> Result<Self, WrapError> {
        let mut base = None;
        let (mut file_end, mut memory_end) = (0_u64, 0_u64);
        let count = u16_at(kernel, 56)?;
        for nth in 0..u64::from(count) {
            let header = at(u64_at(kernel, 32)?.checked_add(56 * nth))?;
            if u32_at(kernel, header)? != PT_LOAD {
                continue;
            }
            let field = |offset: usize| u64_at(kernel, header.saturating_add(offset));
            let (offset, address, size, memory) = (field(8)?, field(24)?, field(32)?, field(40)?);
            let begins = address.checked_sub(offset).ok_or(WrapError::Scattered)?;
            if *base.get_or_insert(begins) != begins {
                return Err(WrapError::Scattered);
            }
            file_end = file_end.max(offset.checked_add(size).ok_or(WrapError::Truncated)?);
            memory_end = memory_end.max(address.checked_add(memory).ok_or(WrapError::TooHigh)?);
        }
        let base = base.ok_or(WrapError::NothingToLoad)?;
        if at(Some(file_end))? > kernel.len() {
            return Err(WrapError::Truncated);
        }
        let small = |value: u64| u32::try_from(value).map_err(|_| WrapError::TooHigh);
        small(memory_end)?;
        Ok(Self {
            entry: small(u64_at(kernel, 24)?)?,
            base: small(base)?,
            in_file: small(file_end)?,
            in_memory: small(memory_end.saturating_sub(base))?,
        })
    }

    /// The ELF header and the program header.
    fn headers(&self) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x01\x01\x01".to_vec();
        bytes.resize(16, 0);
        // An executable for the i386.
        bytes.extend([2_u16, 3].map(u16::to_le_bytes).concat());
        // Version, entry, program headers, section headers, flags.
        bytes.extend([1, self.entry, 52, 0, 0].map(u32::to_le_bytes).concat());
        // Size of this header; size and number of program headers, then of section headers.
        bytes.extend([52_u16, 32, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
        // Loaded from, to (virtual and physical), bytes in the file and in memory, all rights, alignment.
        let segment = [PT_LOAD, AT, self.base, self.base, self.in_file, self.in_memory, 7, AT];
        bytes.extend(segment.map(u32::to_le_bytes).concat());
        bytes
    }
}

/// An offset in a file.
fn at(offset: Option<u64>) -> Result<usize, WrapError> {
    offset
        .and_then(|offset| usize::try_from(offset).ok())
        .ok_or(WrapError::Truncated)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], WrapError> {
    let some = bytes.get(at..).and_then(|rest| rest.first_chunk());
    some.copied().ok_or(WrapError::Truncated)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, WrapError> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, WrapError> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, WrapError> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
