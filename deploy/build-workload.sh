#!/bin/sh
# Builds the static release binary of the workloads for this machine and prints its path: $CARGO_TARGET_DIR/static/workload (default:
# target/static/workload). Further arguments are passed to cargo.
exec "$(dirname "$0")/build-static.sh" workloads workload "$@"
