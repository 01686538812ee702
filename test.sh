#!/usr/bin/env bash
# From a fresh machine to every test passed, in one command and without a keyboard. Can be run twice.
set -euo pipefail
export PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")"
# A background job is started with SIGINT ignored, nohup's with SIGHUP; tests of Ctrl-C need them as they are at a terminal.
[ -n "${JUNG_SIGNALS:-}" ] || exec env --default-signal=HUP,INT,TERM JUNG_SIGNALS=default "$PWD/test.sh" "$@"

usage() {
    cat <<'TEXT'
test.sh: installs what the tests need, starts it, runs every test, stops what it started

  ./test.sh [--fresh]             everything; needs root
  ./test.sh --quick [--fresh]     only the tests that need nothing (no Docker, no Apache Kafka, no JMeter, no QEMU, no root)
  ./test.sh --fresh-build ...     --fresh, and builds into an empty target directory (about 7 minutes more on 2 cores)

  --fresh   starts from empty whatever is kept outside the checkout: the caches of guests (kernel and disk are made again)
            and of jars, Maven's repository (its settings in ~/.m2 stay in use) and the state of runners. For the tests,
            empty directories lie over those of the machine, which are back at the end as they were. CI runs this.

With or without --fresh, the tests that need Docker run on an engine of their own (deploy/docker/engine.sh) that starts for the
first time, on an empty data root in a network namespace of its own; the machine's engine is neither used nor started. Apache
Kafka runs in the same namespace with empty data. Tests that start runners and brokers give each an empty directory.

Not proven even by --fresh-build: the installation of packages and of Rust where they are there already, cargo's registry of
downloaded crates, ./run.sh as a whole, and docker.service under systemd.

Needs Debian or Ubuntu; --quick alone needs root or sudo for packages only. Build output goes to $CARGO_TARGET_DIR
(default ~/.cache/jung/target), outside the checkout, so that the next run is quick.
The last line is the count: N passed, N failed, and of groups of tests that could not be run here, N skipped; they are listed above it.
Exit code: 0 every test passed, 1 something failed, 2 wrong usage.
TEXT
}

quick='' fresh='' fresh_build=''
for arg in "$@"; do
    case $arg in
        --quick) quick=1 ;;
        --fresh) fresh=1 ;;
        --fresh-build) fresh=1 fresh_build=1 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
if [ "$(id -u)" != 0 ] && { [ -z "$quick" ] || [ -n "$fresh" ]; }; then
    echo "test.sh: engines, guests, namespaces and --fresh need root: run it as root, or with --quick alone" >&2
    exit 2
fi

# What --fresh hides, it hides from this script and its children alone.
if [ -n "$fresh" ] && [ -z "${JUNG_FRESH:-}" ]; then
    exec env JUNG_FRESH=1 unshare --mount --propagation private "$PWD/test.sh" "$@"
fi

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
# Short, since sockets are below it; not /tmp, which may be memory.
scratch=$(mktemp -d /var/tmp/jung-XXXXXX)
export JUNG_GUEST_CACHE=${JUNG_GUEST_CACHE:-$cache/guests}
log=$scratch/log
engine=$scratch/e
kafka=$scratch/kafka
skip=()
left_out=()

# Lays an empty directory over one, for this script and what it starts.
hide() {
    local empty
    empty=$(mktemp -d "$scratch/empty-XXXXXX")
    mkdir -p "$1"
    mount --bind "$empty" "$1"
}
if [ -n "$fresh" ]; then
    for kept in "$cache/kafka" "$cache/jmeter" "$JUNG_GUEST_CACHE" "$HOME/.m2/repository" \
        /var/lib/jung "${XDG_STATE_HOME:-$HOME/.local/state}/jung"; do
        hide "$kept"
    done
    [ -z "$fresh_build" ] || hide "$CARGO_TARGET_DIR"
fi

stop_what_was_started() {
    local code=$?
    [ ! -e "$kafka" ] || deploy/kafka/kafka.sh stop --dir "$kafka" >/dev/null 2>&1 || true
    [ ! -e "$engine" ] || deploy/docker/engine.sh stop --dir "$engine" >/dev/null || true
    rm -rf "$scratch"
    exit "$code"
}
trap stop_what_was_started EXIT

# Runs tests, shows them, and keeps their closing lines for the count at the end; what fails does not keep the rest from running.
run() { "$@" 2>&1 | tee -a "$log" || failed=1; }
failed=

# Leaves out a group of tests, the ones whose names begin so, with the reason for the summary at the end.
not_run() {
    skip+=(--skip "$1")
    left_out+=("$1*: $2")
}

# The last thing to be read: what was left out, then the count alone on the last line.
summary() {
    say "done"
    if [ ${#left_out[@]} -gt 0 ]; then
        printf '\n!! LEFT OUT: %s groups of tests, of which this run proves nothing:\n' ${#left_out[@]}
        printf '!!   %s\n' "${left_out[@]}"
    fi
    [ -z "$failed" ] || printf '\n!! FAILED: a test program did not run to its end, or a test failed: see above\n'
    echo
    awk -v skipped=${#left_out[@]} '/^test result:/ { passed += $4; failed += $6 }
        END { printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""; exit failed > 0 || passed == 0 }' "$log" ||
        return 1
    [ -z "$failed" ]
}

say "installing what is missing"
if [ -n "$quick" ]; then deploy/setup.sh --yes build lint; else deploy/setup.sh --yes build lint test load-programs; fi

say "format and lints"
cargo fmt --all --check
cargo fmt --check --manifest-path deploy/hermit/service/Cargo.toml
cargo clippy --workspace --all-targets --quiet -- -D warnings
bash -n run.sh test.sh deploy/*.sh deploy/*/*.sh
shellcheck run.sh test.sh .ci/run deploy/*.sh deploy/*/*.sh
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

say "licences, sources, versions and advisories of dependencies"
deny=$cache/tools/bin/cargo-deny
"$deny" --offline check bans licenses sources
# The database of advisories is a git repository; where it cannot be fetched, nothing is proven, and the summary says so.
if "$deny" fetch db 2>/dev/null; then
    "$deny" --offline check advisories
else
    left_out+=("advisories: the database of RustSec cannot be fetched from here")
fi

say "building"
cargo build --workspace --quiet
JUNG_TEST_WORKLOAD=$(deploy/build-workload.sh | tail -n 1)
export JUNG_TEST_WORKLOAD
deploy/linux/build-init.sh >/dev/null

say "tests that need nothing"
run cargo test --workspace --quiet --no-fail-fast
run cargo test --locked --quiet --manifest-path deploy/hermit/service/Cargo.toml --target-dir target/hermit-service

if [ -n "$quick" ]; then
    left_out+=("every test that needs Docker, Apache Kafka, JMeter, QEMU or root: --quick")
else
    say "fetching jars, a kernel and a disk"
    # Where the engine is, nothing can be fetched.
    deploy/kafka/kafka.sh jars >/dev/null
    deploy/jmeter/jmeter.sh jars >/dev/null
    deploy/linux/kernel.sh "$JUNG_GUEST_CACHE"
    deploy/linux/disk.sh "$JUNG_GUEST_CACHE"

    say "starting a Docker engine for the first time, and Apache Kafka beside it"
    mkdir "$engine"
    deploy/docker/engine.sh start docker --dir "$engine"
    beside_engine() { deploy/docker/engine.sh enter --dir "$engine" "$@"; }
    JUNG_TEST_KAFKA=$(beside_engine deploy/kafka/kafka.sh start --dir "$kafka" --port 0 | tail -n 1)
    export JUNG_TEST_KAFKA
    echo "Apache Kafka at $JUNG_TEST_KAFKA"
    [ -n "${JUNG_OSV_KERNEL:-}" ] || not_run osv:: "JUNG_OSV_KERNEL names no kernel of OSv"
    [ -n "${JUNG_OSV_LOADER_IMG:-}" ] || not_run osv_image:: "JUNG_OSV_LOADER_IMG names no loader.img of OSv"
    [ -n "${JUNG_OSV_IMAGES:-}" ] || not_run osv_built:: "JUNG_OSV_IMAGES names no folder of images that OSv's own build made"
    [ -n "${JUNG_INCLUDEOS_IMAGE:-}" ] || not_run includeos:: "JUNG_INCLUDEOS_IMAGE names no image of IncludeOS"
    test -w /dev/kvm || not_run with_kvm:: "there is no /dev/kvm"
    [ -n "${JUNG_CLOUD_HYPERVISOR:-}" ] || not_run cloud_hypervisor:: "JUNG_CLOUD_HYPERVISOR names no cloud-hypervisor"
    [ -n "${JUNG_FIRECRACKER:-}" ] || not_run firecracker:: "JUNG_FIRECRACKER names no firecracker"
    [ -n "${JUNG_HERMIT_LOADER:+${JUNG_HERMIT_IMAGE:-}}" ] ||
        not_run hermit:: "JUNG_HERMIT_LOADER and JUNG_HERMIT_IMAGE name no loader and no service of Hermit"
    unshare -n tc qdisc add dev lo root netem loss 1% 2>/dev/null || not_run netem:: "this kernel has no netem (module sch_netem)"

    say "tests that need Docker, Apache Kafka, JMeter, QEMU or root"
    # Not among them: one that writes a report for eyes, one that is only a child process of another test.
    run beside_engine cargo test --workspace --quiet --no-fail-fast -- --ignored --test-threads 1 \
        --skip a_run_to_look_at --skip member_in_a_process_of_its_own "${skip[@]}"
fi

summary
