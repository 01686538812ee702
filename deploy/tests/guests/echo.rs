//! The guest of `echo.c`, the smallest that serves under every hypervisor. It is built with the compiler that Rust uses as its linker.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds it in a directory.
pub fn build(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/tests/guests/echo.c");
    let kernel = dir.join("echo.elf");
    let built = Command::new("cc")
        .args(["-O2", "-ffreestanding", "-mgeneral-regs-only", "-mno-red-zone"])
        .args([
            "-fno-pie",
            "-fno-stack-protector",
            "-fno-asynchronous-unwind-tables",
            "-fcf-protection=none",
        ])
        .args([
            "-no-pie",
            "-nostdlib",
            "-static",
            "-Wl,-e,entry",
            "-Wl,-Ttext-segment=0x100000",
        ])
        .args(["-Wl,--build-id=none", "-Wl,-z,max-page-size=4096", "-Wl,-z,noexecstack"])
        .arg("-o")
        .args([&kernel, &source])
        .status();
    assert!(built.unwrap().success(), "cc builds {}", source.display());
    kernel
}
