//! Fuzzes the request decoder: no frame may panic, hang, or use excessive memory.
//!
//! ```text
//! cd broker && cargo +nightly fuzz run frame -- -max_total_time=120 -rss_limit_mb=512
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    broker::accepts_frame(frame);
});
