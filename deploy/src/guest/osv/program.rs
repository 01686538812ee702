//! Makes a static program safe to share an OSv guest with other programs.
//!
//! OSv looks up symbols in all programs and libraries that it has loaded, including static position-independent programs. It finds a program's symbol table by
//! the dynamic section, whose addresses are relative to the load address. The C library of such a program adds the load address to them at start-up (glibc,
//! `_dl_relocate_static_pie`), OSv adds it again, and the next look-up by another program is a page fault in the kernel. It takes a second program for that:
//! OSv's REST API in the same guest loads its parts by `dlopen`.
//!
//! So OSv gets its own copy of the section: the program header of the dynamic section, which OSv uses, points to the copy, while the C library uses a symbol of
//! its own and modifies the original. The copy is appended to the file and loaded by what was the header of a note.
//!
//! (OSv of August 2026, `core/elf.cc`; glibc 2.36.)

/// `p_type` of a loaded segment.
const LOAD: u32 = 1;
/// `p_type` of the dynamic section.
const DYNAMIC: u32 = 2;
/// `p_type` of the path of a dynamic loader.
const INTERP: u32 = 3;
/// `p_type` of a note, which is not needed at run time.
const NOTE: u32 = 4;
/// `p_flags` of a read-only segment.
const READ: u32 = 4;
/// Bytes per page.
const PAGE: u64 = 4096;
/// Bytes of a program header.
const HEADER: usize = 56;

/// The program as OSv should get it; anything but a static position-independent program for x86-64 is returned unchanged.
#[must_use]
pub fn for_osv(program: Vec<u8>) -> Vec<u8> {
    with_a_copy(&program).unwrap_or(program)
}

/// A program header.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Offset of the header in the file.
    at: usize,
    kind: u32,
    offset: u64,
    address: u64,
    in_file: u64,
    in_memory: u64,
}

fn with_a_copy(program: &[u8]) -> Option<Vec<u8>> {
    // 64-bit, little-endian, position-independent, for x86-64.
    let fits = program.starts_with(b"\x7fELF\x02\x01") && program.get(16..20)? == [3, 0, 62, 0];
    if !fits {
        return None;
    }
    let segments = segments(program)?;
    let of = |kind| segments.iter().find(|segment| segment.kind == kind);
    let (dynamic, note) = (of(DYNAMIC)?, of(NOTE)?);
    if of(INTERP).is_some() {
        return None;
    }
    let from = usize::try_from(dynamic.offset).ok()?;
    let section = program.get(from..from.checked_add(usize::try_from(dynamic.in_file).ok()?)?)?;
    let loaded = segments.iter().filter(|segment| segment.kind == LOAD);
    let end = loaded
        .map(|segment| segment.address.checked_add(segment.in_memory))
        .max()??;
    let mut file = program.to_vec();
    file.resize(file.len().next_multiple_of(usize::try_from(PAGE).ok()?), 0);
    let copy = Segment {
        offset: u64::try_from(file.len()).ok()?,
        address: end.checked_next_multiple_of(PAGE)?,
        in_memory: dynamic.in_file,
        ..*dynamic
    };
    file.extend_from_slice(section);
    copy.put(&mut file, dynamic.at, DYNAMIC, 8);
    copy.put(&mut file, note.at, LOAD, PAGE);
    Some(file)
}

/// The program headers; `None` if they are truncated.
fn segments(program: &[u8]) -> Option<Vec<Segment>> {
    let first = usize::try_from(u64_at(program, 32)?).ok()?;
    let count = u16::from_le_bytes(*program.get(56..)?.first_chunk()?);
    let size = u16::from_le_bytes(*program.get(54..)?.first_chunk()?);
    let segment = |nth: u16| {
        let at = first.checked_add(usize::from(nth) * HEADER)?;
        program.get(at..at.checked_add(HEADER)?)?;
        Some(Segment {
            at,
            kind: u32::from_le_bytes(*program.get(at..)?.first_chunk()?),
            offset: u64_at(program, at + 8)?,
            address: u64_at(program, at + 16)?,
            in_file: u64_at(program, at + 32)?,
            in_memory: u64_at(program, at + 40)?,
        })
    };
    (usize::from(size) == HEADER)
        .then(|| (0..count).map(segment).collect())
        .flatten()
}

impl Segment {
    /// Writes it as the header of a read-only segment; virtual and physical address are the same.
    fn put(&self, file: &mut [u8], at: usize, kind: u32, align: u64) {
        let words = [
            self.offset,
            self.address,
            self.address,
            self.in_file,
            self.in_memory,
            align,
        ];
        let header = [kind.to_le_bytes(), READ.to_le_bytes()].concat();
        let header = [header, words.map(u64::to_le_bytes).concat()].concat();
        file[at..at + HEADER].copy_from_slice(&header);
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A program with these segments: kind, offset and address, bytes in the file, bytes in memory.
    fn elf(segments: &[(u32, u64, u64, u64)]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(16, 0);
        file.extend([3, 0, 62, 0]);
        file.resize(64, 0);
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(segments.len()).unwrap();
        for &(kind, place, in_file, in_memory) in segments {
            file.extend([kind.to_le_bytes(), [6, 0, 0, 0]].concat());
            file.extend(
                [place, place, place, in_file, in_memory, 8]
                    .map(u64::to_le_bytes)
                    .concat(),
            );
        }
        file.resize(0x1000, 0);
        file[0x800..0x820].copy_from_slice(&[7; 32]);
        file.extend(b"and sections");
        file
    }

    const STATIC: [(u32, u64, u64, u64); 4] = [
        (LOAD, 0, 0x900, 0x900),
        (LOAD, 0x900, 0x100, 0x2000),
        (DYNAMIC, 0x800, 32, 32),
        (NOTE, 0x700, 16, 16),
    ];

    #[test]
    fn osv_gets_a_copy_of_the_dynamic_section_after_everything_else() {
        let program = elf(&STATIC);
        let made = for_osv(program.clone());
        let [first, second, dynamic, note] = segments(&made).unwrap()[..] else {
            panic!("as many headers as before")
        };
        assert_eq!((dynamic.kind, note.kind), (DYNAMIC, LOAD));
        for copy in [dynamic, note] {
            assert_eq!((copy.offset, copy.address), (0x2000, 0x3000), "after 0x900 + 0x2000");
            assert_eq!((copy.in_file, copy.in_memory), (32, 32));
        }
        assert_eq!((first.in_file, second.in_memory), (0x900, 0x2000), "unchanged");
        assert_eq!(&made[0x2000..], [7; 32]);
        let behind_the_headers = 64 + 4 * HEADER..program.len();
        assert_eq!(made[behind_the_headers.clone()], program[behind_the_headers]);
    }

    #[test]
    fn other_programs_are_returned_unchanged() {
        let dynamic = [&STATIC[..], &[(INTERP, 0x700, 16, 16)]].concat();
        let mut fixed = elf(&STATIC);
        fixed[16] = 2;
        let mut arm = elf(&STATIC);
        arm[18] = 183;
        for program in [
            elf(&dynamic),
            elf(&STATIC[..3]),
            elf(&STATIC[..2]),
            fixed,
            arm,
            b"#!/bin/sh".into(),
        ] {
            assert_eq!(for_osv(program.clone()), program);
        }
    }

    proptest! {
        #[test]
        fn no_headers_panic(at in 16_usize..300, bytes in proptest::collection::vec(any::<u8>(), 0..64), length in 0_usize..5000) {
            let mut program = elf(&STATIC);
            program[at..at + bytes.len()].copy_from_slice(&bytes);
            program.truncate(length);
            let _ = for_osv(program);
        }
    }
}
