#!/bin/sh
# Installs and starts what the platforms need on this host (Debian, Ubuntu and derivatives).
set -eu

help() {
    cat <<'EOF'
usage: deploy/setup.sh WHAT... [--yes]

  build        build dependencies: a C compiler, make, zlib, OpenSSL, and Rust by rustup if cargo is missing
  lint         shellcheck, and cargo-deny, which is built into ~/.cache/jung/tools (takes some minutes, once)
  test         dependencies of the tests: Java, Maven, kcat, httperf, network tools, QEMU, and the Docker engine, nginx, Redis and an
               image registry, none of which is started
  bench        tools for comparison: sysstat (pidstat) and psutil for `just bench-sampler`; nginx, wrk, httperf, sockperf, Java and Maven
               (JMeter) for `just bench-load`, which installs oha itself
  load-programs  the load programs whose presets are tested, and servers for them, which are not started: wrk, ab, hey, redis-benchmark,
               dnsperf, iperf3, sysbench, dnsmasq, PostgreSQL; oha and, with Go 1.22, vegeta, built into ~/.cache/jung (takes some
               minutes, once)
  native       nothing: native processes have no dependencies
  docker       the Docker engine (package docker.io), started by systemd if available
  docker-running  reports by its exit code whether a Docker engine responds; installs and starts nothing
  crun, runsc  an alternative runtime for Docker containers (runsc: gVisor); prints how to register it with the engine
  lxc          LXC, a platform of its own
  podman       Podman, whose Docker-compatible service is an engine, too; prints how to start it
  stop-docker  stops an engine that this script started without systemd, and no other

  --yes        install packages without asking; required unless run on a terminal

Running it again changes nothing. DOCKER_HOST=unix:///... sets another socket than /var/run/docker.sock;
DOCKERD_OPTIONS sets further options of an engine that is started without systemd.
Exit codes: 0 success, 1 failure, 2 usage error, 3 not permitted (declined, or no root).
EOF
}

say() { printf 'setup.sh: %s\n' "$*"; }
fail() { code=$1; shift; printf 'setup.sh: %s\n' "$*" >&2; exit "$code"; }

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail 3 "root is required and sudo is not installed: run it as root"
    fi
}

# Asks for permission to install, unless --yes was given.
may_install() {
    [ -n "$yes" ] && return 0
    [ -t 0 ] || fail 3 "$1 is missing: use --yes to install it"
    printf 'setup.sh: install %s? [y/N] ' "$1"
    read -r answer || answer=
    case $answer in [yY]*) ;; *) fail 3 "$1 is missing, and its installation was declined" ;; esac
}

install_package() {
    command -v apt-get >/dev/null || fail 1 "apt-get is not available: install $* with the package manager of this system"
    may_install "$*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    say "installed $*"
}

# Installs packages of daemons without starting them: invoke-rc.d(8) asks this script.
install_stopped() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        install_missing "$@"
        return
    fi
    before=$(dpkg-query -W -f '${Package} ' "$@" 2>/dev/null || true)
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy"
    trap 'as_root rm -f "$policy"' EXIT
    install_missing "$@"
    as_root rm -f "$policy"
    trap - EXIT
    # Nor when this machine boots, unless they were installed before.
    [ -d /run/systemd/system ] || return 0
    for package in "$@"; do
        case " $before" in *" $package "*) ;; *) as_root systemctl -q disable "$package" 2>/dev/null || true ;; esac
    done
}

# Installs those packages that are missing.
install_missing() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    # shellcheck disable=SC2086 # a list of names
    if [ -n "$missing" ]; then install_package $missing; fi
}

build_setup() {
    install_missing build-essential zlib1g-dev libssl-dev pkg-config perl binutils
    if command -v cargo >/dev/null || [ -x "$HOME/.cargo/bin/cargo" ]; then
        # In the checkout, where rustup chooses the toolchain that rust-toolchain.toml names.
        version=$(cd "$(dirname "$0")/.." && PATH=$PATH:$HOME/.cargo/bin cargo --version) || fail 1 "cargo does not run: see above"
        minor=$(printf '%s' "$version" | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
        [ "${minor:-0}" -ge 95 ] ||
            fail 1 "found $version, which is too old: install Rust 1.95 or newer (https://rustup.rs) and put it first in PATH"
        say "found Rust: $version"
        return 0
    fi
    may_install "Rust, by rustup, for $(id -un)"
    install_missing curl ca-certificates
    # Not a pipe, whose exit code would be that of a shell without input.
    script=$(mktemp)
    if ! curl --proto '=https' --tlsv1.2 -fsS -o "$script" https://sh.rustup.rs ||
        ! sh "$script" -y --profile minimal -c clippy -c rustfmt; then
        rm -f "$script"
        fail 1 "cannot install Rust: install Rust 1.95 or newer (https://rustup.rs), then run this script again"
    fi
    rm -f "$script"
    say "installed Rust in $HOME/.cargo"
}

test_setup() {
    install_missing kcat httperf iproute2 iptables util-linux python3 python3-confluent-kafka procps
    command -v java >/dev/null || install_missing default-jre-headless
    command -v mvn >/dev/null || install_missing maven
    install_missing crun runsc podman lxc openssh-client
    # Services that the tests measure, and a registry that they pull images from.
    install_stopped nginx redis-server docker-registry
    install_docker
    # Newer releases have the client in a separate package.
    command -v docker >/dev/null || install_missing docker-cli
    "$(dirname "$0")/linux/setup-qemu.sh"
    say "the dependencies of the tests are installed"
}

# An unoptimised build takes a third of the time, and a check still takes only a second.
cargo_deny_version=0.20.2
lint_setup() {
    install_missing shellcheck
    PATH=$PATH:$HOME/.cargo/bin
    tools=${XDG_CACHE_HOME:-$HOME/.cache}/jung/tools
    if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $cargo_deny_version" ]; then
        may_install "cargo-deny $cargo_deny_version in $tools"
        cargo install cargo-deny --version "$cargo_deny_version" --locked --debug --quiet --root "$tools" ||
            fail 1 "cannot build cargo-deny: see the output above"
    fi
    say "shellcheck and cargo-deny $cargo_deny_version are installed"
}

bench_setup() {
    install_missing nginx wrk httperf sockperf iproute2 util-linux sysstat python3 python3-psutil
    command -v java >/dev/null || install_missing default-jre-headless
    command -v mvn >/dev/null || install_missing maven
    say "the dependencies of the benchmarks are installed (nginx.service need not run: systemctl disable --now nginx)"
}

# Of both, only the current version is fetched; another one that is there stays.
load_programs_setup() {
    install_stopped wrk apache2-utils hey redis-tools redis-server dnsperf dnsmasq-base iperf3 sysbench postgresql util-linux
    PATH=$PATH:$HOME/.cargo/bin:/usr/local/go/bin
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung
    if [ ! -x "$cache/oha/bin/oha" ]; then
        may_install "oha in $cache/oha"
        # Without optimisation, which would take four times as long: the tests need its output, not its speed.
        cargo install oha --locked --debug --quiet --root "$cache/oha" || fail 1 "oha could not be built: see above"
    fi
    if [ ! -x "$cache/tools/bin/vegeta" ]; then
        may_install "vegeta in $cache/tools"
        # It needs Go 1.22, which Debian 12 does not have.
        GOBIN=$cache/tools/bin go install github.com/tsenart/vegeta/v12@v12.13.0 || say "vegeta is left out: it could not be built, which needs Go 1.22"
    fi
    say "the load programs are installed (services of their packages were not started)"
}

socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
case $socket in unix://*) socket=${socket#unix://} ;; *) socket= ;; esac
# Named after the socket, to distinguish the engine of a test from that of the machine.
mark=/run/jung-dockerd$(printf '%s' "$socket" | tr '/' '-').pid
log=/var/log/jung-dockerd.log

# Prints the version of the engine if one responds. In Perl, because perl-base is part of every Debian system, whereas a client is not.
engine_version() {
    # shellcheck disable=SC2016
    as_root perl -MIO::Socket::UNIX -e '
        $SIG{ALRM} = sub { exit 1 }; alarm 10;
        my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
        print $s "GET /version HTTP/1.0\r\nHost: docker\r\n\r\n";
        local $/; my $reply = <$s>;
        $reply =~ /"Version":"([^"]+)","ApiVersion":"([^"]+)"/ or exit 1;
        print "$1 (API $2)\n";' "$socket" 2>/dev/null
}

# Waits until an engine responds.
wait_for_engine() {
    tries=0
    until engine_version >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || return 1
        [ -z "${1:-}" ] || as_root kill -0 "$1" 2>/dev/null || return 1
        sleep 0.5
    done
}

start_without_systemd() {
    # In a new session, because it must outlive this script and its terminal.
    # shellcheck disable=SC2016
    as_root sh -c 'setsid dockerd -H "unix://$1" $4 >"$2" 2>&1 </dev/null & echo $! >"$3"' \
        sh "$socket" "$log" "$mark" "${DOCKERD_OPTIONS:-}"
    wait_for_engine "$(cat "$mark")" && return 0
    as_root rm -f "$mark"
    as_root tail -n 15 "$log" >&2
    fail 1 "dockerd does not start; the end of $log is above"
}

# Debian's engine. Under systemd, its package starts it.
install_docker() {
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || install_package docker.io iptables
}

docker_setup() {
    [ -n "$socket" ] || fail 2 "DOCKER_HOST=$DOCKER_HOST is on another host: unset it"
    if version=$(engine_version); then
        say "Docker engine $version is running"
    else
        install_docker
        PATH=$PATH:/usr/sbin:/sbin
        # Its installation may have started it.
        if version=$(engine_version); then :
        elif [ -d /run/systemd/system ] && [ -z "${DOCKERD_OPTIONS:-}" ]; then
            as_root systemctl enable --now docker
            wait_for_engine || fail 1 "docker.service does not respond: see 'journalctl -u docker'"
            say "started docker.service"
        else
            start_without_systemd
            say "started dockerd without systemd (PID $(cat "$mark"), log $log)"
        fi
        say "Docker engine $(engine_version) is running"
    fi
    user=$(id -un)
    if [ "$user" != root ] && ! id -nG | tr ' ' '\n' | grep -qx docker; then
        say "$user cannot use it yet: 'sudo usermod -aG docker $user', then log in again (members of this group are equivalent to root)"
    fi
}

docker_stop() {
    [ -e "$mark" ] || { say "this script started no engine"; return 0; }
    pid=$(cat "$mark")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        as_root kill "$pid"
        tries=0
        while as_root kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 60 ]; do tries=$((tries + 1)); sleep 0.5; done
        [ ! -e "/proc/$pid" ] || fail 1 "dockerd (PID $pid) does not exit"
        say "stopped dockerd (PID $pid)"
    else
        say "the dockerd that this script started has already exited"
    fi
    as_root rm -f "$mark"
}

# Installs a runtime. Others may use the engine, so its owner registers the runtime.
runtime_setup() {
    install_missing "$1"
    path=/usr/bin/$1
    # Debian 12's runsc does not start a sandbox on a newer kernel: see docker/runsc.sh.
    if [ "$1" = runsc ] && [ -e /proc/sys/net/core/rmem_default ] && runsc --version | grep -q '0.0~2022'; then
        path=$(cd "$(dirname "$0")" && pwd)/docker/runsc.sh
    fi
    say "found $1: $("$1" --version | head -n 1)"
    say "register it in /etc/docker/daemon.json: {\"runtimes\": {\"$1\": {\"path\": \"$path\"}}}, then 'systemctl reload docker' (or kill -HUP its dockerd)"
}

podman_setup() {
    install_missing podman
    say "found $(podman --version); to start its service: 'systemctl enable --now podman.socket', or 'podman system service --time=0 unix:///run/podman/podman.sock'"
}

lxc_setup() {
    install_missing lxc
    say "found LXC $(lxc-start --version); a runner that uses it must be root"
}

yes=
wants=
for arg in "$@"; do
    case $arg in
        --yes | -y) yes=1 ;;
        --help | -h) help; exit 0 ;;
        build | lint | test | bench | load-programs | native | docker | docker-running | stop-docker | crun | runsc | podman | lxc) wants="$wants $arg" ;;
        *) help >&2; fail 2 "unknown argument $arg" ;;
    esac
done
[ -n "$wants" ] || { help >&2; exit 2; }
for want in $wants; do
    case $want in
        build) build_setup ;;
        lint) lint_setup ;;
        test) test_setup ;;
        bench) bench_setup ;;
        load-programs) load_programs_setup ;;
        native) say "native processes have no dependencies" ;;
        docker-running) version=$(engine_version) || exit 1; say "Docker engine $version is running" ;;
        docker) docker_setup ;;
        crun | runsc) runtime_setup "$want" ;;
        podman) podman_setup ;;
        lxc) lxc_setup ;;
        stop-docker) docker_stop ;;
    esac
done
