//! `workload tcp` on a thread of the test.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use workloads::shutdown::{Shutdown, Trigger};
use workloads::tcp::{self, Options};

pub struct Service {
    pub address: SocketAddr,
    trigger: Trigger,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start(reply_bytes: usize) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options {
            listen: any,
            reply_bytes,
            threads: 1,
            connections: 10_000,
            idle: 60,
        };
        let listeners = workloads::listen::tcp(any, 1).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let (shutdown, trigger) = Shutdown::by_hand().unwrap();
        let thread = std::thread::spawn(move || tcp::serve(listeners, &options, &shutdown).unwrap());
        Self {
            address,
            trigger,
            thread: Some(thread),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.trigger.fire().unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}
