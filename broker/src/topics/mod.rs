//! Topics and their partitions, kept in a folder each.
//!
//! ```text
//! topics/<topic>/topic.json    id and settings
//!                <partition>/  the log
//! trash/                       deleted topics on their way out
//! ```

mod name;
mod partition;
mod registry;
mod settings;
mod topic;

pub use name::check_name;
pub use partition::Partition;
pub use registry::{CreateError, Topics};
pub use settings::{Setting, SettingError, TopicSettings};
pub use topic::Topic;
