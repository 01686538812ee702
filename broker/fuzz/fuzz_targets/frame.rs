//! Random request frames: none may panic, hang, or take memory out of proportion.
//!
//! ```text
//! cd broker && cargo +nightly fuzz run frame -- -max_total_time=120 -rss_limit_mb=512
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    broker::accepts_frame(frame);
});
