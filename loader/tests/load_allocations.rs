//! On the way of a request the engines allocate nothing: an allocator counts what their threads ask for in the middle of a load.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use loader::{
    Arrivals, BodyRule, Call, Connections, Control, Engine, Expect, Extent, Label, Max, MaxPlan, Message, Progress,
    Rate, RatePlan, Script, Target, Think, Udp, UdpPlan, Users, UsersPlan,
};
use workloads::shutdown::{Shutdown, Trigger};

/// The system's allocator, and a count of what threads of an engine ask it for while it is watched.
struct Counting;

static WATCHED: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whether this thread is one that fires; the one that takes the log to disk is not.
#[expect(unsafe_code, reason = "the name of a thread has no safe form that allocates nothing")]
fn fires() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes 16 bytes at most, terminator included, and `name` has them.
    let result = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    result == 0 && name.starts_with(b"load-") && name[5].is_ascii_digit()
}

fn note() {
    if WATCHED.load(Ordering::Relaxed) && fires() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// One load at a time is watched: the allocator is that of the whole program.
static ONE: Mutex<()> = Mutex::new(());

/// Before this many requests tables may grow to the size that they keep.
const SETTLED: u64 = 1000;
/// So many are watched at least.
const WATCHED_REQUESTS: u64 = 2000;
/// Requests in a block of the log, of which a new one may be needed, with its place in a queue.
const BLOCK: u64 = 16_384;
const CALLS_A_BLOCK: u64 = 2;

/// Runs a load that ends when enough of it was watched.
fn allocates_nothing(what: &str, engine: &(dyn Engine + Sync)) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let control = Control::new();
    let ended = |progress: Progress| progress.succeeded + progress.failed;
    let (watched, calls, outcome) = std::thread::scope(|scope| {
        let load = scope.spawn(|| engine.run(&control).unwrap());
        let wait_for = |requests| {
            while ended(control.progress()) < requests && !load.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(
                !load.is_finished(),
                "{what}: the load was over too early: {:?}",
                control.progress()
            );
            ended(control.progress())
        };
        let first = wait_for(SETTLED);
        CALLS.store(0, Ordering::Relaxed);
        WATCHED.store(true, Ordering::Relaxed);
        let last = wait_for(first + WATCHED_REQUESTS);
        WATCHED.store(false, Ordering::Relaxed);
        let calls = CALLS.load(Ordering::Relaxed);
        control.cancel();
        (last - first, calls, load.join().unwrap())
    });
    println!("{what}: {calls} allocations of {watched} requests");
    let allowed = (watched / BLOCK + 1) * CALLS_A_BLOCK;
    assert!(calls <= allowed, "{what}: {calls} allocations of {watched} requests");
    assert_eq!(outcome.counts.of(loader::ErrorKind::WrongBody), 0);
}

/// The workload tcp in this process.
struct Service {
    address: SocketAddr,
    trigger: Trigger,
}

impl Service {
    fn start(reply_bytes: usize) -> Self {
        let listeners = workloads::listen::tcp(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let options = workloads::tcp::Options {
            listen: address,
            reply_bytes,
            threads: 1,
            connections: 1000,
            idle: 60,
        };
        let (shutdown, trigger) = Shutdown::by_hand().unwrap();
        std::thread::spawn(move || workloads::tcp::serve(listeners, &options, &shutdown).unwrap());
        Self { address, trigger }
    }

    fn target(&self, count: u64) -> Target {
        let expect = Expect {
            status: 200,
            body: BodyRule::Repeat { byte: b'A', count },
        };
        Target {
            address: self.address,
            path: "/".into(),
            expect,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.trigger.fire().unwrap();
    }
}

const LONG: Duration = Duration::from_secs(120);

#[test]
fn max_on_kept_connections() {
    let service = Service::start(1000);
    let engine = Max::new(&MaxPlan::new(16, LONG), &service.target(1000)).unwrap();
    allocates_nothing("max", &engine);
}

#[test]
fn max_with_a_connection_a_request() {
    let service = Service::start(1000);
    let plan = MaxPlan {
        keep_alive: false,
        ..MaxPlan::new(16, LONG)
    };
    allocates_nothing(
        "max, a connection a request",
        &Max::new(&plan, &service.target(1000)).unwrap(),
    );
}

/// Replies larger than what is read in one turn.
#[test]
fn max_with_long_replies() {
    const LETTERS: usize = 512 << 10;
    let service = Service::start(LETTERS);
    let engine = Max::new(&MaxPlan::new(4, LONG), &service.target(LETTERS as u64)).unwrap();
    allocates_nothing("max, long replies", &engine);
}

#[test]
fn rate_uniform_and_poisson() {
    let service = Service::start(1000);
    for arrivals in [Arrivals::Uniform, Arrivals::Poisson] {
        for connections in [
            Connections::KeepAlive { pool: 8, at_most: 64 },
            Connections::PerRequest { at_most: Some(64) },
        ] {
            let plan = RatePlan {
                arrivals,
                connections,
                ..RatePlan::new(2000.0, LONG)
            };
            let engine = Rate::new(plan, service.target(1000)).unwrap();
            allocates_nothing(&format!("rate, {arrivals:?}, {connections:?}"), &engine);
        }
    }
}

#[test]
fn users_who_think() {
    let service = Service::start(1000);
    let target = service.target(1000);
    let call = Call {
        address: target.address,
        label: 0,
        bytes: Message::get("/", true).to_bytes(target.address).unwrap().into(),
        expect: target.expect,
    };
    let label = Label {
        name: "a".into(),
        url: "http://test/".into(),
    };
    let script = Script {
        calls: vec![0],
        repeat: true,
    };
    let extent = Extent::Window {
        warm_up: Duration::ZERO,
        duration: LONG,
    };
    let plan = UsersPlan {
        think: Think::Exponential {
            mean: Duration::from_millis(2),
            seed: 1,
        },
        ..UsersPlan::new(vec![call], vec![label], vec![script; 20], extent)
    };
    allocates_nothing("users", &Users::new(plan).unwrap());
}

#[test]
fn packets() {
    let sockets = workloads::listen::udp(([127, 0, 0, 1], 0).into(), 1, None).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let options = workloads::udp::Options {
        listen: address,
        reply_bytes: 1000,
        echo: false,
        sockets: 1,
        batch: 32,
        receive_buffer: None,
    };
    let (shutdown, mut trigger) = Shutdown::by_hand().unwrap();
    std::thread::spawn(move || workloads::udp::serve(&sockets, &options, &shutdown).unwrap());
    let engine = Udp::new(UdpPlan::new(5_000_000), address).unwrap();
    allocates_nothing("udp", &engine);
    trigger.fire().unwrap();
}

/// What is counted at all: a thread of such a name that allocates.
#[test]
fn an_allocation_is_seen() {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    CALLS.store(0, Ordering::Relaxed);
    WATCHED.store(true, Ordering::Relaxed);
    let thread = std::thread::Builder::new().name("load-0".to_owned());
    let made = thread
        .spawn(|| std::hint::black_box(vec![1_u8; 100]).len())
        .unwrap()
        .join()
        .unwrap();
    WATCHED.store(false, Ordering::Relaxed);
    assert_eq!(made, 100);
    assert!(CALLS.load(Ordering::Relaxed) >= 1);
}
