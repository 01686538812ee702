//! Topics and their partitions, one directory each.
//!
//! ```text
//! topics/<topic>/topic.json    id and settings
//!                <partition>/  the log
//! trash/                       deleted topics until their files are removed
//! ```

mod partition;
mod registry;
mod settings;
mod topic;

pub use partition::Partition;
pub use registry::{CreateError, Topics};
pub use settings::{Setting, SettingError, TopicSettings};
pub use topic::{Topic, check_name};
