//! Drivers: how services are put on a platform, observed there, and removed without leaving anything behind.
//!
//! A [`Driver`] starts the services of a [`DeploymentSpec`] on one kind of platform and returns a [`Deployment`], which is the same type for all platforms.
//! Whoever starts something owns its end: [`Deployment::stop`] is graceful and verifies that nothing is left, `Drop` kills. Everything that a driver creates
//! carries the runner's [`mark`], so that a runner that is restarted after a crash can remove what its previous instance left behind, and nothing else.
//!
//! | modules | |
//! |---|---|
//! | `driver`, `any` | the trait of all drivers, and the enum over them |
//! | `service` | a service as drivers get it: of the `workload` program, or described |
//! | `deployment`, `processes` | a running deployment, with its platform's own figures; where its processes are listed |
//! | [`native`], [`docker`], [`lxc`], [`hypervisor`], [`fake`] | the drivers: host processes, containers of an engine, LXC containers, guests, and one for tests |
//! | [`guest`] | descriptions of guests, and the images that are built for them |
//! | [`ready`], [`seed`] | readiness probes; filling services with data |
//! | [`mark`], `cleanup` | marks leftovers, finds them and removes them |
//! | [`process`], [`procfs`], [`cgroup`], [`network`], `limits`, `listening` | the host: processes, `/proc`, cgroups, ports and bridges, available CPUs, listening sockets |
//! | [`binary`], `programs`, `size`, `log`, `first_output`, `oom` | small parts that several drivers share |

mod any;
pub mod binary;
pub mod cgroup;
mod cleanup;
mod deployment;
pub mod docker;
mod driver;
mod error;
pub mod fake;
mod first_output;
pub mod guest;
pub mod hypervisor;
mod limits;
mod listening;
mod log;
pub mod lxc;
pub mod mark;
pub mod native;
pub mod network;
mod oom;
pub mod process;
mod processes;
pub mod procfs;
mod programs;
pub mod ready;
pub mod seed;
mod service;
mod size;

pub use any::AnyDriver;
pub use deployment::{Deployment, GuestInfo, Meter, PlatformProcess, Started, Stopped};
pub use driver::{DeploymentSpec, Driver, Host, HostGateway};
pub use error::DeployError;
pub use limits::affinity;
pub use listening::{Listener, listeners};
pub use processes::{Processes, Snapshot};
pub use service::{Described, Program, Service, check_program};
