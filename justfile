# What one does here every day; `just` lists it.

default:
    @just --list

# format, lints and types
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# licences, sources, versions and advisories of dependencies (`deploy/setup.sh lint` builds cargo-deny)
deny:
    ~/.cache/jung/tools/bin/cargo-deny check

# puts the code in its form
fmt:
    cargo fmt --all

# the tests that need nothing
test:
    cargo test --workspace

# the tests that need a Docker engine, on one of their own that starts for the first time, as root
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

# everything, as CI does
e2e:
    ./test.sh

# round trips of our broker and of Apache Kafka (give its address), side by side
bench-roundtrip *args:
    cargo run --release -p bench --bin bench_roundtrip -- {{args}}

# rebuilds the report of a run from its raw data
report run:
    cargo run --release -p controller -- report {{run}}

# throws frames at our broker's decoder for so many seconds (needs nightly Rust and cargo-fuzz)
fuzz seconds="150":
    cd broker && cargo +nightly fuzz run frame -- -max_total_time={{seconds}} -rss_limit_mb=2048

# Jung's microservices under the thesis' load, beside the thesis' tables
bench-jung *args:
    cargo run --release -p bench --bin bench_jung -- {{args}}

# the load generator beside wrk, httperf, oha, JMeter and sockperf in one run; about twelve minutes on two quiet cores (`deploy/setup.sh bench` installs them)
bench-load *args:
    cargo run --release -p bench --bin bench_load -- {{args}}

# throws replies at the reader of the load generator for so many seconds (needs nightly Rust and cargo-fuzz)
fuzz-reply seconds="150":
    cd loader && cargo +nightly fuzz run reply -- -max_total_time={{seconds}} -rss_limit_mb=2048

# how right the sampler is and what it costs, beside pidstat, psutil and docker stats; all, or: cpu memory cost sum disturbance
bench-sampler *args:
    JUNG_TEST_WORKLOAD=${JUNG_TEST_WORKLOAD:-$(deploy/build-workload.sh | tail -n 1)} cargo run --release -p bench --bin bench_sampler -- {{args}}
