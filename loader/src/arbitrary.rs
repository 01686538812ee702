//! Generators for property tests of this and other crates.

use proptest::prelude::*;

use crate::{ErrorKind, Request};

prop_compose! {
    /// An arbitrary request.
    pub fn requests()(
        times in any::<[Option<u32>; 3]>(), ends in any::<(u32, u32)>(), bytes in any::<(u32, u32)>(),
        error in prop::option::of(0..ErrorKind::ALL.len()), rest in any::<(u16, u32, u8, bool, u16, u32)>(),
    ) -> Request {
        Request {
            intended_ns: ends.0.into(), sent_ns: times[0].map(Into::into), connected_ns: times[1].map(Into::into),
            first_byte_ns: times[2].map(Into::into), done_ns: ends.1.into(), status: rest.0, label: rest.4,
            bytes_in: bytes.0.into(), bytes_out: bytes.1.into(), connection: rest.1, thread: rest.2,
            in_flight: rest.5, error: error.map(|at| ErrorKind::ALL[at]), warm_up: rest.3,
        }
    }
}
