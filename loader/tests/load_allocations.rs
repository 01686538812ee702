//! The engines do not allocate in the request path: an allocator counts the allocations of their threads during a load.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loader::{
    Arrivals, BodyRule, Call, Calls, Connections, Control, Engine, Expect, Extent, Label, Max, MaxPlan, Message,
    Progress, Rate, RatePlan, Script, Target, Think, Udp, UdpPlan, Users, UsersPlan,
};
use protocol::load::{Expectation, HttpRequest, HttpRequests};
use workloads::shutdown::{Shutdown, Trigger};

/// The system allocator, which counts allocations of engine threads while it is enabled.
struct Counting;

static ENABLED: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whether this is an engine thread, as opposed to the one that writes the log.
#[expect(unsafe_code, reason = "std cannot return the name of a thread without allocating")]
fn is_engine_thread() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, including the terminator, which is the size of `name`.
    let result = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    result == 0 && name.starts_with(b"load-") && name[5].is_ascii_digit()
}

fn count() {
    if ENABLED.load(Ordering::Relaxed) && is_engine_thread() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: every call is forwarded unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Held by each test from its first line: the allocator is global, and what another test builds would be counted.
static LOCK: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Minimum number of requests during which allocations are counted. Before, during half as many, tables may grow to their final size.
const COUNTED_REQUESTS: u64 = 2000;
/// Requests per block of the log; a new block and its queue entry may be allocated.
const BLOCK: u64 = 16_384;
const ALLOCATIONS_PER_BLOCK: u64 = 2;

/// Runs a load until enough requests were counted.
fn assert_no_allocations(what: &str, engine: &(dyn Engine + Sync)) {
    assert_few_allocations(COUNTED_REQUESTS, 0, what, engine);
}

/// The same with `buffers`, which connections allocate that are used for the first time while requests are counted.
fn assert_few_allocations(counted: u64, buffers: u64, what: &str, engine: &(dyn Engine + Sync)) {
    let control = Control::new();
    let ended = |progress: Progress| progress.succeeded + progress.failed;
    let (requests, calls, outcome) = std::thread::scope(|scope| {
        let load = scope.spawn(|| engine.run(&control).unwrap());
        let wait_for = |requests| {
            while ended(control.progress()) < requests && !load.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(
                !load.is_finished(),
                "{what}: the load ended too early: {:?}",
                control.progress()
            );
            ended(control.progress())
        };
        let first = wait_for(counted / 2);
        CALLS.store(0, Ordering::Relaxed);
        ENABLED.store(true, Ordering::Relaxed);
        let last = wait_for(first + counted);
        ENABLED.store(false, Ordering::Relaxed);
        let calls = CALLS.load(Ordering::Relaxed);
        control.cancel();
        (last - first, calls, load.join().unwrap())
    });
    println!("{what}: {calls} allocations in {requests} requests");
    let allowed = (requests / BLOCK + 1) * ALLOCATIONS_PER_BLOCK + buffers;
    assert!(calls <= allowed, "{what}: {calls} allocations in {requests} requests");
    assert_eq!(outcome.counts.of(loader::ErrorKind::WrongBody), 0);
}

/// The workload `tcp` in this process.
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
        let expect = Expect::ok(BodyRule::Repeat { byte: b'A', count });
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
fn max_with_persistent_connections() {
    let _alone = alone();
    let service = Service::start(1000);
    let engine = Max::new(&MaxPlan::new(16, LONG), &service.target(1000)).unwrap();
    assert_no_allocations("max", &engine);
}

#[test]
fn max_with_one_connection_per_request() {
    let _alone = alone();
    let service = Service::start(1000);
    let plan = MaxPlan {
        keep_alive: false,
        ..MaxPlan::new(16, LONG)
    };
    assert_no_allocations(
        "max, one connection per request",
        &Max::new(&plan, &service.target(1000)).unwrap(),
    );
}

/// Replies that are larger than what is read per event. Few, since an unoptimized build takes milliseconds to check one.
#[test]
fn max_with_long_replies() {
    let _alone = alone();
    const LETTERS: usize = 512 << 10;
    let service = Service::start(LETTERS);
    let engine = Max::new(&MaxPlan::new(4, LONG), &service.target(LETTERS as u64)).unwrap();
    assert_few_allocations(200, 0, "max, long replies", &engine);
}

#[test]
fn rate_uniform_and_poisson() {
    let _alone = alone();
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
            let engine = Rate::new(plan, &service.target(1000)).unwrap();
            assert_no_allocations(&format!("rate, {arrivals:?}, {connections:?}"), &engine);
        }
    }
}

#[test]
fn a_mix_with_placeholders_and_expectations() {
    let _alone = alone();
    let service = Service::start(1000);
    let template = HttpRequest {
        template: true,
        ..HttpRequest::get("/?{uuid}&{seq}&{letters:9}&{pick:a|b}")
    };
    let checked = HttpRequest {
        expect: Some(Expectation {
            regex: Some("^A+$".into()),
            sha256: Some("c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4".into()),
            ..Expectation::default()
        }),
        ..HttpRequest::get("/")
    };
    let http = HttpRequests {
        requests: vec![template, checked],
        ..HttpRequests::default()
    };
    let target = service.target(1000);
    let calls = |keep_alive| Calls::of(&http, target.address, &target.expect, (keep_alive, 7)).unwrap();
    let plan = RatePlan {
        connections: Connections::KeepAlive { pool: 8, at_most: 64 },
        ..RatePlan::new(2000.0, LONG)
    };
    let engine = Rate::of_calls(plan, calls(true)).unwrap();
    // A stall makes further connections necessary, up to 64 with at most 3 buffers each; one allocation per request would be ten times as many.
    assert_few_allocations(COUNTED_REQUESTS, 64 * 3, "rate, placeholders and expectations", &engine);
    let engine = Max::of_calls(&MaxPlan::new(16, LONG), calls(true)).unwrap();
    assert_no_allocations("max, placeholders and expectations", &engine);
}

#[test]
fn users_with_think_time() {
    let _alone = alone();
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
    assert_no_allocations("users", &Users::new(plan).unwrap());
}

#[test]
fn packets() {
    let _alone = alone();
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
    assert_no_allocations("udp", &engine);
    trigger.fire().unwrap();
}

/// Allocations of a thread with the name of an engine thread are counted.
#[test]
fn allocations_are_counted() {
    let _alone = alone();
    CALLS.store(0, Ordering::Relaxed);
    ENABLED.store(true, Ordering::Relaxed);
    let thread = std::thread::Builder::new().name("load-0".to_owned());
    let made = thread
        .spawn(|| std::hint::black_box(vec![1_u8; 100]).len())
        .unwrap()
        .join()
        .unwrap();
    ENABLED.store(false, Ordering::Relaxed);
    assert_eq!(made, 100);
    assert!(CALLS.load(Ordering::Relaxed) >= 1);
}
