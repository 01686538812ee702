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

  ./test.sh             everything
  ./test.sh --quick     only the tests that need nothing (no Docker, no Apache Kafka, no JMeter, no QEMU, no root)

Needs Debian or Ubuntu, and root or sudo for the packages. Build output goes to $CARGO_TARGET_DIR
(default ~/.cache/jung/target), outside the checkout, so that the next run is quick.
Exit code: 0 every test passed, 1 something failed.
TEXT
}

quick=
case ${1:-} in
    "") ;;
    --quick) quick=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export JUNG_TEST_KAFKA_DIR=
log=$(mktemp)
started_dockerd=
skip=()
left_out=()

stop_what_was_started() {
    local code=$?
    if [ -n "$JUNG_TEST_KAFKA_DIR" ]; then
        deploy/kafka/kafka.sh stop --dir "$JUNG_TEST_KAFKA_DIR" >/dev/null 2>&1 || true
        rm -rf "$JUNG_TEST_KAFKA_DIR"
    fi
    [ -z "$started_dockerd" ] || deploy/setup.sh stop-docker || true
    rm -f "$log"
    exit "$code"
}
trap stop_what_was_started EXIT

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Runs tests, shows them, and keeps their closing lines for the count at the end; what fails does not keep the rest from running.
run() { "$@" 2>&1 | tee -a "$log" || failed=1; }
failed=

# Leaves out the tests with a name, and says so at the end, with the reason.
not_run() {
    skip+=(--skip "$1")
    left_out+=("NOT RUN: the tests $1*: $2")
}

say "installing what is missing"
if [ -n "$quick" ]; then deploy/setup.sh --yes build; else deploy/setup.sh --yes build test; fi

say "format and lints"
cargo fmt --all --check
cargo fmt --check --manifest-path deploy/hermit/service/Cargo.toml
cargo clippy --workspace --all-targets --quiet -- -D warnings
bash -n run.sh test.sh deploy/*.sh deploy/*/*.sh
command -v shellcheck >/dev/null && shellcheck run.sh test.sh deploy/*.sh deploy/*/*.sh

say "building"
cargo build --workspace --quiet
JUNG_TEST_WORKLOAD=$(deploy/build-workload.sh | tail -n 1)
export JUNG_TEST_WORKLOAD
deploy/linux/build-init.sh >/dev/null

say "tests that need nothing"
run cargo test --workspace --quiet --no-fail-fast
run cargo test --locked --quiet --manifest-path deploy/hermit/service/Cargo.toml --target-dir target/hermit-service

if [ -z "$quick" ]; then
    say "starting a Docker engine and Apache Kafka"
    if ! deploy/setup.sh docker-running; then
        deploy/setup.sh --yes docker
        started_dockerd=1
    fi
    JUNG_TEST_KAFKA_DIR=$(mktemp -d)
    JUNG_TEST_KAFKA=$(deploy/kafka/kafka.sh start --dir "$JUNG_TEST_KAFKA_DIR" --port 0 | tail -n 1)
    export JUNG_TEST_KAFKA
    echo "Apache Kafka at $JUNG_TEST_KAFKA"
    export JUNG_GUEST_CACHE=${JUNG_GUEST_CACHE:-$cache/guests}
    deploy/linux/kernel.sh "$JUNG_GUEST_CACHE"
    as_root deploy/linux/disk.sh "$JUNG_GUEST_CACHE"
    [ -n "${JUNG_OSV_KERNEL:-}" ] || not_run osv:: "JUNG_OSV_KERNEL names no kernel of OSv"
    [ -n "${JUNG_OSV_LOADER_IMG:-}" ] || not_run osv_image:: "JUNG_OSV_LOADER_IMG names no loader.img of OSv"
    [ -n "${JUNG_OSV_IMAGES:-}" ] || not_run osv_built:: "JUNG_OSV_IMAGES names no folder of images that OSv's own build made"
    [ -n "${JUNG_INCLUDEOS_IMAGE:-}" ] || not_run includeos:: "JUNG_INCLUDEOS_IMAGE names no image of IncludeOS"
    as_root test -w /dev/kvm || not_run with_kvm:: "there is no /dev/kvm"
    [ -n "${JUNG_CLOUD_HYPERVISOR:-}" ] || not_run cloud_hypervisor:: "JUNG_CLOUD_HYPERVISOR names no cloud-hypervisor"
    [ -n "${JUNG_FIRECRACKER:-}" ] || not_run firecracker:: "JUNG_FIRECRACKER names no firecracker"
    [ -n "${JUNG_HERMIT_LOADER:+${JUNG_HERMIT_IMAGE:-}}" ] ||
        not_run hermit:: "JUNG_HERMIT_LOADER and JUNG_HERMIT_IMAGE name no loader and no service of Hermit"
    as_root unshare -n tc qdisc add dev lo root netem loss 1% 2>/dev/null || not_run netem:: "this kernel has no netem (module sch_netem)"

    say "tests that need Docker, Apache Kafka, JMeter, QEMU or root"
    # Not among them: one that writes a report for eyes, one that is only a child process of another test.
    run cargo test --workspace --quiet --no-fail-fast -- --ignored --test-threads 1 \
        --skip a_run_to_look_at --skip member_in_a_process_of_its_own "${skip[@]}"
fi

say "done"
for line in "${left_out[@]}"; do echo "$line"; done
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }' "$log"
[ -z "$failed" ] || { echo "a test program did not run to its end: see above" >&2; exit 1; }
