//! What every daemon at the far end of the bus has, whether it deploys services or fires load.
//!
//! * [`hold`] — which controller it obeys, pure;
//! * [`link`] — the connection to Kafka, made again as often as it takes;
//! * [`outbox`] — what it says, in order, said again until the broker has it.

pub mod hold;
pub mod link;
pub mod outbox;
