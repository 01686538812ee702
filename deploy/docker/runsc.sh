#!/bin/sh
# gVisor's runsc, for versions older than the kernel. Debian 12's version (December 2022) assumes that the file
# net/core/rmem_default exists only in the network namespace of the host, and refuses to start a sandbox if it sees it;
# newer kernels have it in every network namespace (https://github.com/google/gvisor/issues/10704). This wrapper hides
# the file from `start`, which checks for it, and passes everything else on. A newer runsc does not need it.
# Register it instead of runsc in daemon.json: {"runtimes": {"runsc": {"path": "/.../deploy/docker/runsc.sh"}}}
set -eu
runsc=${RUNSC:-/usr/bin/runsc}
for word in "$@"; do
    [ "$word" = start ] || continue
    # shellcheck disable=SC2016 # for the inner shell
    exec unshare --mount --propagation private sh -c '
        least=$(cat /proc/sys/vm/mmap_min_addr)
        mount -t tmpfs none /proc/sys
        mkdir /proc/sys/vm
        echo "$least" >/proc/sys/vm/mmap_min_addr
        exec "$@"' sh "$runsc" "$@"
done
exec "$runsc" "$@"
