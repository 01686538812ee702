use proptest::prelude::*;

use super::*;

/// One loaded segment: offset in the file, address, bytes in the file, bytes in memory.
type Segment = [u64; 4];

/// A 64-bit kernel with these segments, a multiboot header with these flags, of `length` bytes.
fn kernel(segments: &[Segment], flags: u32, length: usize) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2_u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    file.extend([0x20_1000_u64, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    let count = u16::try_from(segments.len()).unwrap();
    file.extend([64, 56, count, 0, 0, 0].map(u16::to_le_bytes).concat());
    for [offset, address, size, memory] in segments {
        file.extend([PT_LOAD, 7].map(u32::to_le_bytes).concat());
        let rest = [*offset, *address, *address, *size, *memory, 0x1000];
        file.extend(rest.map(u64::to_le_bytes).concat());
    }
    let checksum = 0_u32.wrapping_sub(MAGIC.wrapping_add(flags));
    file.extend([MAGIC, flags, checksum].map(u32::to_le_bytes).concat());
    file.resize(length, 0xcc);
    file
}

const TWO: [Segment; 2] = [[0, 0x20_0000, 0x800, 0x800], [0x1000, 0x20_1000, 0x500, 0x9000]];

#[test]
fn the_whole_file_becomes_one_segment() {
    let kernel = kernel(&TWO, 3, 0x1600);
    let file = wrap(&kernel).unwrap().unwrap();
    assert_eq!(file[0x1000..], kernel[..0x1500], "what no segment covers is omitted");
    assert_eq!(u16_at(&file, 16).unwrap(), 2);
    assert_eq!(u16_at(&file, 18).unwrap(), 3);
    assert_eq!(u32_at(&file, 24).unwrap(), 0x20_1000);
    let segment: Vec<_> = (0..8).map(|nth| u32_at(&file, 52 + 4 * nth).unwrap()).collect();
    assert_eq!(
        segment,
        [PT_LOAD, 0x1000, 0x20_0000, 0x20_0000, 0x1500, 0xa000, 7, 0x1000]
    );
}

#[test]
fn what_qemu_accepts_is_left_alone() {
    let with_addresses = kernel(&TWO, HAS_ADDRESSES, 0x1600);
    assert_eq!(wrap(&with_addresses), Ok(None));
    let mut elf32 = kernel(&TWO, 3, 0x1600);
    elf32[4] = 1;
    assert_eq!(wrap(&elf32), Ok(None));
    let mut no_multiboot = kernel(&TWO, 3, 0x1600);
    no_multiboot[64 + 2 * 56] ^= 1;
    assert_eq!(wrap(&no_multiboot), Ok(None));
    assert_eq!(wrap(b""), Ok(None));
}

#[test]
fn unsupported_kernels_say_why() {
    let of = |segments: &[Segment], length| wrap(&kernel(segments, 3, length)).unwrap_err();
    assert_eq!(of(&[], 0x1600), WrapError::NothingToLoad);
    assert_eq!(of(&TWO, 0x1400), WrapError::Truncated);
    let apart = [TWO[0], [0x1000, 0x30_0000, 0x500, 0x500]];
    assert_eq!(of(&apart, 0x1600), WrapError::Scattered);
    assert_eq!(of(&[[0x1000, 0, 1, 1]], 0x1600), WrapError::Scattered);
    assert_eq!(of(&[[0, 1 << 32, 1, 1]], 0x1600), WrapError::TooHigh);
    assert_eq!(of(&[[0, 0x20_0000, 1, 1 << 32]], 0x1600), WrapError::TooHigh);
}

proptest! {
    #[test]
    fn no_input_panics(
        segments in prop::collection::vec(any::<Segment>(), 0..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        length in 0..0x2000_usize,
    ) {
        let mut file = kernel(&segments, 3, 0x1600);
        let at = at.index(file.len());
        file[at] = byte;
        file.truncate(length);
        let _ = wrap(&file);
    }
}
