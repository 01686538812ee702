#!/usr/bin/env bash
# Takes a fresh machine to every test passed, in one command and without interaction. Can be run repeatedly.
set -euo pipefail
export PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")"
# Background jobs ignore SIGINT and jobs of nohup SIGHUP; the tests of Ctrl-C need the dispositions of a terminal.
[ -n "${JUNG_SIGNALS:-}" ] || exec env --default-signal=HUP,INT,TERM JUNG_SIGNALS=default "$PWD/test.sh" "$@"

usage() {
    cat <<'TEXT'
test.sh: installs dependencies, starts a Docker engine and Apache Kafka, runs every test, and stops what it started

  ./test.sh [--fresh]             all tests; requires root
  ./test.sh --quick [--fresh]     only the tests without requirements (no Docker, Apache Kafka, JMeter, QEMU or root)
  ./test.sh --fresh-build ...     --fresh with an empty target directory (about 7 minutes more on 2 cores)

  --fresh   starts without any state outside the checkout: the caches of guests (kernel and disk are built again) and of jars,
            Maven's repository (its settings in ~/.m2 stay in use) and the state of runners. Empty directories are mounted over
            those of the machine, for the tests only. CI uses this option.

With or without --fresh, the tests that need Docker use a separate engine (deploy/docker/engine.sh), which starts for the first
time, with an empty data root in its own network namespace; the engine of the machine is neither used nor started. Apache
Kafka runs in the same namespace with empty data. Tests that start runners and brokers give each an empty directory.

Not verified, even by --fresh-build: the installation of packages and of Rust if they are already installed, cargo's registry
of downloaded crates, ./run.sh as a whole, and docker.service under systemd.

Requires Debian or Ubuntu; --quick alone needs root or sudo for packages only. Build output goes to $CARGO_TARGET_DIR
(default ~/.cache/jung/target), outside the checkout, so that the next run is faster.
The last line is a count: N passed, N failed, and N skipped groups of tests, if any could not be run; they are listed above it.
Exit code: 0 all tests passed, 1 a test or a step failed, 2 usage error.
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
    echo "test.sh: root is required for engines, guests, namespaces and --fresh: run it as root, or with --quick alone" >&2
    exit 2
fi

# --fresh hides directories from this script and its children only.
if [ -n "$fresh" ] && [ -z "${JUNG_FRESH:-}" ]; then
    exec env JUNG_FRESH=1 unshare --mount --propagation private "$PWD/test.sh" "$@"
fi

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
# A short path, because it contains sockets; not in /tmp, which may be a tmpfs.
scratch=$(mktemp -d /var/tmp/jung-XXXXXX)
export JUNG_GUEST_CACHE=${JUNG_GUEST_CACHE:-$cache/guests}
log=$scratch/log
engine=$scratch/e
kafka=$scratch/kafka
fetching=
skip=()
left_out=()

# Mounts an empty directory over another one, for this script and its children.
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
    [ -z "$fetching" ] || wait "$fetching" || true
    [ ! -e "$kafka" ] || deploy/kafka/kafka.sh stop --dir "$kafka" >/dev/null 2>&1 || true
    [ ! -e "$engine" ] || deploy/docker/engine.sh stop --dir "$engine" >/dev/null || true
    rm -rf "$scratch"
    exit "$code"
}
trap stop_what_was_started EXIT

# Runs tests and logs their results for the count at the end. A failure does not prevent the remaining tests from running.
run() { "$@" 2>&1 | tee -a "$log" || failed=1; }
failed=

# Skips the tests of a module, and records the reason for the summary.
not_run() {
    skip+=(--skip "$1")
    left_out+=("$1*: $2")
}

# Downloads jars and builds the kernel and the disk of guests.
fetch() {
    deploy/kafka/kafka.sh jars >/dev/null
    deploy/jmeter/jmeter.sh jars >/dev/null
    deploy/linux/kernel.sh "$JUNG_GUEST_CACHE"
    deploy/linux/disk.sh "$JUNG_GUEST_CACHE"
}

# Waits for the downloads, and shows their output if they failed.
fetched() {
    local code=0
    wait "$fetching" || code=$?
    fetching=
    [ "$code" = 0 ] || { cat "$scratch/fetch.log" >&2; exit 1; }
}

# Lists what was left out; the count is on the last line.
summary() {
    say "done"
    if [ ${#left_out[@]} -gt 0 ]; then
        printf '\n!! LEFT OUT: %s groups of tests, which this run does not cover:\n' ${#left_out[@]}
        printf '!!   %s\n' "${left_out[@]}"
    fi
    [ -z "$failed" ] || printf '\n!! FAILED: a test failed or a test program aborted: see above\n'
    echo
    awk -v skipped=${#left_out[@]} '/^test result:/ { passed += $4; failed += $6 }
        END { printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""; exit failed > 0 || passed == 0 }' "$log" ||
        return 1
    [ -z "$failed" ]
}

say "installing dependencies"
if [ -n "$quick" ]; then
    deploy/setup.sh --yes build lint
else
    deploy/setup.sh --yes build lint test load-programs
    # In the background, because this mostly waits for the network. In the network namespace of the engine there is none.
    fetch >"$scratch/fetch.log" 2>&1 &
    fetching=$!
fi

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
# The advisory database is a git repository. Without access to it nothing is checked, which the summary shows.
if "$deny" fetch db 2>/dev/null; then
    "$deny" --offline check advisories
else
    left_out+=("advisories: the RustSec database cannot be fetched")
fi

# Builds the programs, too. `cargo build` would build most crates a second time, without the features of development dependencies.
say "building"
cargo test --workspace --no-run --quiet
JUNG_TEST_WORKLOAD=$(deploy/build-workload.sh | tail -n 1)
export JUNG_TEST_WORKLOAD
deploy/linux/build-init.sh >/dev/null

say "tests without requirements"
run cargo test --workspace --no-fail-fast -- --quiet
run cargo test --locked --manifest-path deploy/hermit/service/Cargo.toml --target-dir "$CARGO_TARGET_DIR/hermit-service" -- --quiet

if [ -n "$quick" ]; then
    left_out+=("all tests that need Docker, Apache Kafka, JMeter, QEMU or root: --quick")
else
    say "waiting for jars, a kernel and a disk"
    fetched

    say "starting a Docker engine for the first time, and Apache Kafka beside it"
    mkdir "$engine"
    deploy/docker/engine.sh start docker --dir "$engine"
    beside_engine() { deploy/docker/engine.sh enter --dir "$engine" "$@"; }
    JUNG_TEST_KAFKA=$(beside_engine deploy/kafka/kafka.sh start --dir "$kafka" --port 0 | tail -n 1)
    export JUNG_TEST_KAFKA
    echo "Apache Kafka at $JUNG_TEST_KAFKA"
    [ -n "${JUNG_OSV_KERNEL:-}" ] || not_run osv:: "JUNG_OSV_KERNEL is not set to an OSv kernel"
    [ -n "${JUNG_OSV_LOADER_IMG:-}" ] || not_run osv_image:: "JUNG_OSV_LOADER_IMG is not set to a loader.img of OSv"
    [ -n "${JUNG_OSV_IMAGES:-}" ] || not_run osv_built:: "JUNG_OSV_IMAGES is not set to a directory of images of OSv's own build"
    [ -n "${JUNG_INCLUDEOS_IMAGE:-}" ] || not_run includeos:: "JUNG_INCLUDEOS_IMAGE is not set to an image of IncludeOS"
    test -w /dev/kvm || not_run with_kvm:: "/dev/kvm is not available"
    [ -n "${JUNG_CLOUD_HYPERVISOR:-}" ] || not_run cloud_hypervisor:: "JUNG_CLOUD_HYPERVISOR is not set to a cloud-hypervisor"
    [ -n "${JUNG_FIRECRACKER:-}" ] || not_run firecracker:: "JUNG_FIRECRACKER is not set to a firecracker"
    [ -n "${JUNG_HERMIT_LOADER:+${JUNG_HERMIT_IMAGE:-}}" ] ||
        not_run hermit:: "JUNG_HERMIT_LOADER and JUNG_HERMIT_IMAGE are not set to a loader and an image of Hermit"
    [ -x "$cache/tools/bin/vegeta" ] || not_run real::vegeta "vegeta could not be built (deploy/setup.sh load-programs; needs Go 1.22)"
    unshare -n tc qdisc add dev lo root netem loss 1% 2>/dev/null || not_run netem:: "the kernel has no netem (module sch_netem)"

    # --tests: without documentation tests, of which none is ignored.
    ignored() { run beside_engine cargo test --workspace --tests --no-fail-fast -- --quiet --ignored "${skip[@]}" "$@"; }
    # Modules whose tests compare no figures and use one core at most (an emulated guest), or mostly wait.
    paired=(emulated:: on_kafka:: bad_host:: docker:: docker_breaks:: jung:: kafka:: namespaces:: runtimes:: shipped::boot)
    say "tests that need Docker, Apache Kafka, QEMU or root, two at a time"
    ignored --test-threads 2 "${paired[@]}"
    say "tests that need Docker, Apache Kafka, JMeter, QEMU or root, one at a time"
    for module in "${paired[@]}"; do skip+=(--skip "$module"); done
    ignored --test-threads 1
fi

summary
