# Everyday commands; `just` lists them.

default:
    @just --list

# checks format, lints and types
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# checks licences, sources, versions and advisories of dependencies (`deploy/setup.sh lint` builds cargo-deny)
deny:
    ~/.cache/jung/tools/bin/cargo-deny check

# formats the code
fmt:
    cargo fmt --all

# runs the tests that need nothing
test:
    cargo test --workspace

# runs the tests that need Docker, as root, on an engine of their own that starts for the first time
test-docker:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --workspace
    export JUNG_TEST_WORKLOAD=$(deploy/build-workload.sh | tail -n 1)
    dir=$(mktemp -d /tmp/jung-XXXXXX)
    trap 'deploy/docker/engine.sh stop --dir "$dir"; rmdir "$dir"' EXIT
    deploy/docker/engine.sh start docker --dir "$dir"
    deploy/docker/engine.sh enter --dir "$dir" cargo test -p deploy --test docker -- --ignored --test-threads 1
    deploy/docker/engine.sh enter --dir "$dir" cargo test -p controller --test e2e -- --ignored --test-threads 1 docker

# runs every test, as root; CI adds --fresh
e2e:
    ./test.sh

# compares round trips over the embedded broker and, with --against HOST:PORT, over Apache Kafka
bench-roundtrip *args:
    cargo run --release -p bench --bin bench_roundtrip -- {{args}}

# regenerates a run's report from its raw data
report run:
    cargo run --release -p controller -- report {{run}}

# fuzzes the frame decoder of the embedded broker for this many seconds (needs nightly Rust and cargo-fuzz)
fuzz seconds="150":
    cd broker && cargo +nightly fuzz run frame -- -max_total_time={{seconds}} -rss_limit_mb=2048

# measures Jung's microservices under the thesis' load, next to the thesis' tables; --trace shows where the time of a task goes
bench-jung *args:
    cargo run --release -p bench --bin bench_jung -- {{args}}

# compares the load generator with wrk, httperf, oha, JMeter and sockperf (`deploy/setup.sh bench` installs them): about twelve minutes on two idle cores
bench-load *args:
    cargo run --release -p bench --bin bench_load -- {{args}}

# fuzzes the reply parser of the load generator for this many seconds (needs nightly Rust and cargo-fuzz)
fuzz-reply seconds="150":
    cd loader && cargo +nightly fuzz run reply -- -max_total_time={{seconds}} -rss_limit_mb=2048

# measures the sampler's accuracy and cost, compared with pidstat, psutil and docker stats; all parts, or: cpu memory cost sum disturbance
bench-sampler *args:
    JUNG_TEST_WORKLOAD=${JUNG_TEST_WORKLOAD:-$(deploy/build-workload.sh | tail -n 1)} cargo run --release -p bench --bin bench_sampler -- {{args}}

# writes a synthetic run with its report below a folder, to look at reports
synthetic-run results *args:
    cargo run --package analysis --example synthetic_run -- {{results}} {{args}}
