//! `cargo run -p deploy --example osv-program -- target/static/workload workload-osv`: converts the static workload for an OSv image made elsewhere, so that OSv's
//! REST API can run beside it. The images that the runner builds contain it in this form already.

use std::path::PathBuf;
use std::{env, fs, io};

use deploy::guest::osv::program::for_osv;

fn main() -> io::Result<()> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &paths[..] else {
        return Err(io::Error::other("usage: osv-program INPUT OUTPUT"));
    };
    let program = fs::read(from)?;
    let made = for_osv(program.clone());
    if made == program {
        return Err(io::Error::other(
            "the input is not a static position-independent program for x86-64",
        ));
    }
    fs::write(to, made)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}
