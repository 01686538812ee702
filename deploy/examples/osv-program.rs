//! `cargo run -p deploy --example osv-program -- target/static/workload workload-osv`: the static workload for an image of OSv made elsewhere, in
//! the form in which OSv's REST API can run beside it. The images that the runner makes have it so already.

use std::path::PathBuf;
use std::{env, fs, io};

use deploy::guest::osv::program::for_osv;

fn main() -> io::Result<()> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &paths[..] else {
        return Err(io::Error::other(
            "name two files: the program, and where its other form goes",
        ));
    };
    let program = fs::read(from)?;
    let made = for_osv(program.clone());
    if made == program {
        return Err(io::Error::other(
            "it is no static position-independent program of x86-64",
        ));
    }
    fs::write(to, made)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}
