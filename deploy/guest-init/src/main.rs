//! `guest-init`: the first process of a Linux guest whose root is an initramfs.
//!
//! It loads the modules in `/modules` in the order of their names, configures `eth0` from the kernel command line (`jung.ip`, `jung.mask`, `jung.gateway`),
//! mounts shares (`jung.mount`), starts the service that `/etc/jung/service` describes, else `/workload` (or `jung.workload`) with the arguments after `--`, obeys the power button, and powers the machine off when
//! the workload has ended. It logs each step to the console in a line that begins with `guest-init: `, which the runner reads.

mod button;
mod command_line;
mod modules;
mod mounts;
mod network;
mod power;
mod workload;

use std::process::ExitCode;

use command_line::CommandLine;

fn main() -> ExitCode {
    let ended = run();
    match &ended {
        Ok(code) => println!("guest-init: the workload ended with code {code}"),
        Err(error) => println!("guest-init: failed: {error}"),
    }
    power::off();
    ExitCode::FAILURE
}

/// Runs until the workload ends. Returns its exit code, or its signal as a negative number.
fn run() -> Result<i32, String> {
    if std::process::id() != 1 {
        return Err("this must be the first process of a guest".into());
    }
    mounts::mount_all()?;
    let command_line = CommandLine::read()?;
    modules::load_all()?;
    if let Some(address) = &command_line.address {
        network::configure(address)?;
    }
    mounts::mount_shares(&command_line.shares)?;
    let exec = workload::Exec::new(&command_line.workload, std::env::args().skip(1))?;
    let program = exec.program.clone();
    let workload = exec.start()?;
    println!("guest-init: started {program} as process {}", workload.id());
    button::watch(workload.id());
    workload::wait(workload)
}
