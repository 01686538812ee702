#!/bin/sh
# Starts a separate container engine: for tests, and to try out runtimes without affecting an engine that others use.
set -eu

help() {
    cat <<'TEXT'
usage: deploy/docker/engine.sh start docker --dir DIR [--netns NAME] [--runtime NAME=PATH]
       deploy/docker/engine.sh start podman --dir DIR [--netns NAME] [--runtime NAME]
       deploy/docker/engine.sh enter --dir DIR COMMAND [ARGUMENT...]
       deploy/docker/engine.sh stop --dir DIR

  start docker   dockerd with the runtimes runc, crun and runsc, if installed, and that of --runtime
  start podman   the Docker-compatible service of Podman, whose containers use the runtime of --runtime (crun)
  enter          runs a command in the network namespace of the engine, with /sys showing that namespace, and with
                 DOCKER_HOST (Podman: CONTAINER_HOST) set to the engine; returns the exit code of the command
  stop           removes the containers, stops the engine, and removes all its files in DIR

The engine runs in a network namespace (--netns: an existing one, to share it between engines; otherwise a new one), which
contains its bridge and its firewall rules, and in a mount namespace without cgroup v2 where both versions are mounted
(crun does not support such a host). Its data, log and socket are in DIR, whose path must be short.
The first line of output of `start` is the path of the network namespace: enter it with `nsenter --net=PATH` to reach the
containers. The last line is the socket, as expected by DOCKER_HOST and by the key `socket` of a platform.
DOCKERD_OPTIONS sets further options of dockerd, separated by spaces.
Requires root. Exit codes: 0 success, 1 failure (the end of the log is shown), 2 usage error.
TEXT
}

fail() { code=$1; shift; printf 'engine.sh: %s\n' "$*" >&2; exit "$code"; }

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

action=${1:-}
[ $# = 0 ] || shift
case $action in
    start) kind=${1:-}; [ $# = 0 ] || shift ;;
    enter | stop) kind= ;;
    -h | --help) help; exit 0 ;;
    *) help >&2; exit 2 ;;
esac
dir='' netns='' runtime=
while [ $# -gt 0 ]; do
    case $action:$1 in
        enter:--dir) ;;
        enter:*) break ;;
    esac
    [ $# -gt 1 ] || fail 2 "$1 requires a value"
    case $1 in
        --dir) dir=$2 ;;
        --netns) netns=${2##*/} ;;
        --runtime) runtime=$2 ;;
        *) fail 2 "unknown argument $1" ;;
    esac
    shift 2
done
[ -n "$dir" ] || fail 2 "--dir is missing"
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
[ "$(id -u)" = 0 ] || fail 1 "root is required"
own=$dir/engine

# Prints the path of a runtime, if it is installed. Debian 12's runsc needs a wrapper on newer kernels.
program() {
    case $1 in
        runsc) command -v runsc >/dev/null && echo "$here/runsc.sh" ;;
        *) command -v "$1" ;;
    esac
}

# Runs a command where the engine runs, with cgroup v1 only where both versions are mounted.
# shellcheck disable=SC2016 # for the inner shell
inside='[ ! -e /sys/fs/cgroup/memory ] || umount /sys/fs/cgroup/unified 2>/dev/null || true; exec "$@"'

dockerd_words() {
    set -- dockerd -H "unix://$own/docker.sock" --data-root "$own/data" --exec-root "$own/exec" \
        --pidfile "$own/dockerd.pid" --cgroup-parent "/jung-engine-$(cat "$own/netns")"
    for name in crun runsc; do
        if path=$(program "$name"); then set -- "$@" --add-runtime "$name=$path"; fi
    done
    [ -z "$runtime" ] || set -- "$@" --add-runtime "$runtime"
    # shellcheck disable=SC2086 # a list of words
    set -- "$@" ${DOCKERD_OPTIONS:-}
    printf '%s\n' "$@"
}

podman_words() {
    printf '%s\n' podman --root "$own/data" --runroot "$own/run" --tmpdir "$own/tmp" --cgroup-manager cgroupfs \
        --runtime "${runtime:-crun}"
}

# Podman looks up runtimes in its configuration; for runsc it must find the wrapper.
podman_conf() {
    if path=$(program runsc); then printf '[engine.runtimes]\nrunsc = ["%s"]\n' "$path"; fi
}

answers() {
    # shellcheck disable=SC2016 # perl's
    perl -MIO::Socket::UNIX -e '
        $SIG{ALRM} = sub { exit 1 }; alarm 10;
        my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
        print $s "GET /version HTTP/1.0\r\nHost: docker\r\n\r\n";
        local $/; exit(<$s> =~ /ApiVersion/ ? 0 : 1)' "$1" 2>/dev/null
}

start() {
    case $kind in
        docker) needed=dockerd words=dockerd_words ;;
        podman) needed=podman words=podman_words ;;
        *) fail 2 "start requires docker or podman" ;;
    esac
    command -v "$needed" >/dev/null || fail 1 "$needed is not installed: deploy/setup.sh $kind"
    [ ! -e "$own" ] || fail 1 "$own exists: stop its engine first"
    mkdir -p "$own"
    echo "$kind" >"$own/kind"
    if [ -z "$netns" ]; then
        netns=jung-$$
        ip netns add "$netns"
        touch "$own/made-netns"
        ip -n "$netns" link set lo up
    fi
    echo "$netns" >"$own/netns"
    podman_conf >"$own/containers.conf"
    "$words" >"$own/words"
    socket=$own/$kind.sock
    set --
    while IFS= read -r word; do set -- "$@" "$word"; done <"$own/words"
    [ "$kind" = docker ] || set -- "$@" system service --time=0 "unix://$socket"
    # conmon writes into its working directory when memory runs out.
    cd "$own"
    # In a new session, because it must outlive this script and its terminal.
    # shellcheck disable=SC2016 # for the inner shell
    CONTAINERS_CONF=$own/containers.conf setsid nsenter --net="/run/netns/$netns" unshare --mount --propagation private \
        sh -c 'echo $$ >"$1"; shift; '"$inside" sh "$own/pid" "$@" >"$own/log" 2>&1 </dev/null &
    tries=0
    until answers "$socket"; do
        tries=$((tries + 1))
        if [ "$tries" -ge 120 ] || { [ -s "$own/pid" ] && ! kill -0 "$(cat "$own/pid")" 2>/dev/null; }; then
            tail -n 15 "$own/log" >&2
            stop
            fail 1 "$kind does not start; the end of its log is above"
        fi
        sleep 0.25
    done
    echo "/run/netns/$netns"
    echo "unix://$socket"
}

# /sys shows the network namespace in which it was mounted, so it is mounted again; the cgroups in it are preserved.
# shellcheck disable=SC2016 # for the inner shell
own_sys='mkdir -p "$1"; mount --rbind /sys/fs/cgroup "$1"; umount --recursive --lazy /sys; mount -t sysfs sysfs /sys
    mount --rbind "$1" /sys/fs/cgroup; umount --recursive --lazy "$1"; shift; exec "$@"'

enter() {
    [ -e "$own/kind" ] || fail 1 "no engine is running in $dir"
    [ $# -gt 0 ] || fail 2 "enter requires a command"
    kind=$(cat "$own/kind") netns=$(cat "$own/netns")
    case $kind in
        docker) export DOCKER_HOST="unix://$own/docker.sock" ;;
        podman) export CONTAINER_HOST="unix://$own/podman.sock" ;;
    esac
    exec nsenter --net="/run/netns/$netns" unshare --mount --propagation private sh -ec "$own_sys" sh "$own/cgroup" "$@"
}

# Removes a directory of cgroups in every hierarchy, deepest first; cgroups in use remain.
forget_cgroups() {
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ ! -d "$hierarchy/$1" ] || find "$hierarchy/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

stop() {
    [ -e "$own/kind" ] || { echo "engine.sh: no engine is running in $dir"; return 0; }
    kind=$(cat "$own/kind") netns=$(cat "$own/netns")
    pid=$(cat "$own/pid" 2>/dev/null || echo)
    if [ "$kind" = podman ] && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
        # Its containers outlive the service.
        set --
        while IFS= read -r word; do set -- "$@" "$word"; done <"$own/words"
        CONTAINERS_CONF=$own/containers.conf nsenter --target "$pid" --net --mount "$@" rm --all --force --time 0 >/dev/null 2>&1 || true
    fi
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 120 ]; do tries=$((tries + 1)); sleep 0.25; done
        kill -KILL "$pid" 2>/dev/null || true
    fi
    forget_cgroups "jung-engine-$netns"
    # libpod_parent stays, as Podman itself leaves it: another Podman may be creating a container there.
    [ ! -e "$own/made-netns" ] || ip netns delete "$netns" 2>/dev/null || true
    rm -rf "$own"
}

"$action" "$@"
