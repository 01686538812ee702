#!/bin/sh
# gVisor's runsc, for versions that are older than the kernel. Debian 12's (of December 2022) takes the file
# net/core/rmem_default for a mark of the host's own network, and refuses to start a sandbox where it is there; newer
# kernels show it to every network namespace (https://github.com/google/gvisor/issues/10704). So `start`, which looks,
# gets a view without that file. Everything else is runsc's own, and a newer runsc does not need this.
# Register it in daemon.json in runsc's place: {"runtimes": {"runsc": {"path": "/.../deploy/docker/runsc.sh"}}}
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
