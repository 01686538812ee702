#!/bin/sh
# A container engine of its own beside the machine's: for tests, and for trying runtimes without touching an engine that others use.
set -eu

help() {
    cat <<'TEXT'
usage: deploy/docker/engine.sh start docker --dir DIR [--netns NAME] [--runtime NAME=PATH]
       deploy/docker/engine.sh start podman --dir DIR [--netns NAME] [--runtime NAME]
       deploy/docker/engine.sh enter --dir DIR COMMAND [ARGUMENT...]
       deploy/docker/engine.sh stop --dir DIR

  start docker   dockerd with the runtimes runc, crun and runsc, as far as they are installed, and --runtime's
  start podman   Podman's Docker-compatible service; its containers are made by --runtime (crun)
  enter          runs a command where the engine is: in its network namespace, with /sys showing that namespace, and with
                 DOCKER_HOST (Podman: CONTAINER_HOST) naming the engine; exits with the command's code
  stop           removes its containers, ends it, and removes everything it made below DIR

The engine lives in a network namespace (--netns: an existing one, to have several engines in it; else a new one),
where its bridge and its firewall rules are its own, and in a mount namespace without version 2 of cgroups where both
versions are mounted (crun refuses such a host). Its data, log and socket are below DIR, which must be short.
The first line of `start` is the path of the network namespace: enter it by `nsenter --net=PATH` to reach the
containers. The last line is the socket, as DOCKER_HOST and a platform's `socket` take it.
DOCKERD_OPTIONS holds more options for dockerd, separated by spaces.
Needs root. Exit codes: 0 done, 1 failed (the end of the log is shown), 2 wrong usage.
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
    [ $# -gt 1 ] || fail 2 "$1 needs a value"
    case $1 in
        --dir) dir=$2 ;;
        --netns) netns=${2##*/} ;;
        --runtime) runtime=$2 ;;
        *) fail 2 "what is $1?" ;;
    esac
    shift 2
done
[ -n "$dir" ] || fail 2 "--dir is missing"
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
[ "$(id -u)" = 0 ] || fail 1 "this needs root"
own=$dir/engine

# The path of a runtime's program, if it is there. Debian 12's runsc needs a hand on new kernels.
program() {
    case $1 in
        runsc) command -v runsc >/dev/null && echo "$here/runsc.sh" ;;
        *) command -v "$1" ;;
    esac
}

# Runs a command where the engine is: in its network, with version 1 of cgroups alone where both are there.
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

# Podman looks runtimes up in its configuration; runsc's program is another one here.
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
        *) fail 2 "start what? docker or podman" ;;
    esac
    command -v "$needed" >/dev/null || fail 1 "$needed is not installed: deploy/setup.sh $kind"
    [ ! -e "$own" ] || fail 1 "$own is there already: stop it first"
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
    # A session of its own: it must outlive this script and its terminal.
    # shellcheck disable=SC2016 # for the inner shell
    CONTAINERS_CONF=$own/containers.conf setsid nsenter --net="/run/netns/$netns" unshare --mount --propagation private \
        sh -c 'echo $$ >"$1"; shift; '"$inside" sh "$own/pid" "$@" >"$own/log" 2>&1 </dev/null &
    tries=0
    until answers "$socket"; do
        tries=$((tries + 1))
        if [ "$tries" -ge 120 ] || { [ -s "$own/pid" ] && ! kill -0 "$(cat "$own/pid")" 2>/dev/null; }; then
            tail -n 15 "$own/log" >&2
            stop
            fail 1 "$kind does not come up; the end of its log is above"
        fi
        sleep 0.25
    done
    echo "/run/netns/$netns"
    echo "unix://$socket"
}

# /sys shows the network namespace in which it was mounted, so it is mounted anew; the cgroups below it are kept.
# shellcheck disable=SC2016 # for the inner shell
own_sys='mkdir -p "$1"; mount --rbind /sys/fs/cgroup "$1"; umount --recursive --lazy /sys; mount -t sysfs sysfs /sys
    mount --rbind "$1" /sys/fs/cgroup; umount --recursive --lazy "$1"; shift; exec "$@"'

enter() {
    [ -e "$own/kind" ] || fail 1 "no engine was started in $dir"
    [ $# -gt 0 ] || fail 2 "enter with which command?"
    kind=$(cat "$own/kind") netns=$(cat "$own/netns")
    case $kind in
        docker) export DOCKER_HOST="unix://$own/docker.sock" ;;
        podman) export CONTAINER_HOST="unix://$own/podman.sock" ;;
    esac
    exec nsenter --net="/run/netns/$netns" unshare --mount --propagation private sh -ec "$own_sys" sh "$own/cgroup" "$@"
}

# Removes a directory of cgroups in every hierarchy, the deepest first; one that is in use stays.
forget_cgroups() {
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ ! -d "$hierarchy/$1" ] || find "$hierarchy/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

stop() {
    [ -e "$own/kind" ] || { echo "engine.sh: nothing was started in $dir"; return 0; }
    kind=$(cat "$own/kind") netns=$(cat "$own/netns")
    pid=$(cat "$own/pid" 2>/dev/null || echo)
    if [ "$kind" = podman ] && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
        # Its containers need no service to live on.
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
    [ "$kind" != podman ] || forget_cgroups libpod_parent
    [ ! -e "$own/made-netns" ] || ip netns delete "$netns" 2>/dev/null || true
    rm -rf "$own"
}

"$action" "$@"
