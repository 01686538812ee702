#!/bin/sh
# Builds the static release binary of guest-init, the first process of Linux guests, and prints its path: next to the static workload of
# deploy/build-workload.sh, where the runner looks for it. Further arguments are passed to cargo.
exec "$(dirname "$0")/../build-static.sh" guest-init guest-init "$@"
