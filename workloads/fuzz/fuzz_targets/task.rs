//! Fuzzes the decoding of tasks and results: no message may panic, hang, or use excessive memory.
//!
//! ```text
//! cd workloads && cargo +nightly fuzz run task -- -max_total_time=120 -rss_limit_mb=512
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    workloads::jung::message::is_valid_message(bytes);
});
