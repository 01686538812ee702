#!/bin/sh
# Installs and starts what the platforms need on this host (Debian, Ubuntu and what comes from them).
set -eu

help() {
    cat <<'EOF'
usage: deploy/setup.sh WHAT... [--yes]

  build        what compiling needs: a C compiler, make, zlib, OpenSSL, and Rust by rustup if cargo is absent
  lint         shellcheck, and cargo-deny built into ~/.cache/jung/tools (some minutes, once)
  test         what the tests need besides: Java, Maven, kcat, httperf, network tools, QEMU, and Docker's engine, installed and not started
  bench        what `just bench-sampler` sets our sampler beside: sysstat (pidstat), psutil; and `just bench-load` our load generator: nginx, wrk, httperf, sockperf, Java and Maven (JMeter); oha it installs itself
  load-programs  the load programs whose presets are tested, and servers for them, which it does not start: wrk, ab, hey, redis-benchmark, dnsperf,
               iperf3, sysbench, dnsmasq, PostgreSQL; oha and vegeta, built into ~/.cache/jung (some minutes, once; vegeta needs Go)
  native       nothing: processes of the host need nothing
  docker       Docker's engine: package docker.io, started by systemd, or by hand where there is none
  docker-running  says whether an engine answers, by the exit code; installs and starts nothing
  crun, runsc  another runtime for Docker's containers (runsc: gVisor); says how the engine is told of it
  lxc          LXC, whose containers are a platform of their own
  podman       Podman, whose Docker-compatible service is an engine, too; says how it is started
  stop-docker  ends an engine that this script started by hand, and no other

  --yes        do not ask before a package is installed (asked on a terminal only; without one, --yes is needed)

Running it again changes nothing. DOCKER_HOST=unix:///... names another socket than /var/run/docker.sock;
DOCKERD_OPTIONS holds more options for an engine that is started by hand.
Exit codes: 0 all there, 1 something failed, 2 wrong usage, 3 not allowed (by you, or no root).
EOF
}

say() { printf 'setup.sh: %s\n' "$*"; }
fail() { code=$1; shift; printf 'setup.sh: %s\n' "$*" >&2; exit "$code"; }

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail 3 "this needs root, and there is no sudo: run it as root"
    fi
}

# Whether we may install: by --yes, or by the answer of whoever sits there.
may_install() {
    [ -n "$yes" ] && return 0
    [ -t 0 ] || fail 3 "$1 is missing: run it again with --yes to install it"
    printf 'setup.sh: install %s? [y/N] ' "$1"
    read -r answer || answer=
    case $answer in [yY]*) ;; *) fail 3 "$1 is missing and not wanted" ;; esac
}

install_package() {
    command -v apt-get >/dev/null || fail 1 "there is no apt-get here: install $* with this system's own tools"
    may_install "$*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    say "installed $*"
}

# Installs those of the packages that are not there.
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
        say "Rust is there: $(PATH=$PATH:$HOME/.cargo/bin cargo --version)"
        return 0
    fi
    may_install "Rust, by rustup, for $(id -un)"
    install_missing curl ca-certificates
    if ! curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt; then
        fail 1 "Rust could not be installed from here: install Rust 1.95 or newer (https://rustup.rs), then run this again"
    fi
    say "installed Rust in $HOME/.cargo"
}

test_setup() {
    install_missing kcat httperf nginx iproute2 iptables util-linux python3 python3-confluent-kafka procps
    command -v java >/dev/null || install_missing default-jre-headless
    command -v mvn >/dev/null || install_missing maven
    install_missing crun runsc podman lxc openssh-client
    install_docker
    # A package of its own in newer releases.
    command -v docker >/dev/null || install_missing docker-cli
    "$(dirname "$0")/linux/setup-qemu.sh"
    say "what the tests need is there"
}

# Built without optimisation: that takes a third of the time, and a check takes a second.
cargo_deny_version=0.20.2
lint_setup() {
    install_missing shellcheck
    PATH=$PATH:$HOME/.cargo/bin
    tools=${XDG_CACHE_HOME:-$HOME/.cache}/jung/tools
    if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $cargo_deny_version" ]; then
        may_install "cargo-deny $cargo_deny_version in $tools"
        cargo install cargo-deny --version "$cargo_deny_version" --locked --debug --quiet --root "$tools" ||
            fail 1 "cargo-deny could not be built: see above"
    fi
    say "shellcheck and cargo-deny $cargo_deny_version are there"
}

bench_setup() {
    install_missing nginx wrk httperf sockperf iproute2 util-linux sysstat python3 python3-psutil
    command -v java >/dev/null || install_missing default-jre-headless
    command -v mvn >/dev/null || install_missing maven
    say "what the benches need is there (a running nginx.service of this package is not needed: systemctl disable --now nginx)"
}

# Installs packages of daemons without starting them: invoke-rc.d asks this script.
install_without_start() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then install_missing "$@"; return; fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    code=0
    (install_missing "$@") || code=$?
    as_root rm -f "$policy"
    [ "$code" = 0 ] || exit "$code"
}

# Of both, only the current version is fetched; another one that is there stays.
load_programs_setup() {
    install_without_start wrk apache2-utils hey redis-tools redis-server dnsperf dnsmasq-base iperf3 sysbench postgresql util-linux
    PATH=$PATH:$HOME/.cargo/bin:/usr/local/go/bin
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung
    if [ ! -x "$cache/oha/bin/oha" ]; then
        may_install "oha in $cache/oha"
        # Without optimisation, which would take four times as long: the tests need its output, not its speed.
        cargo install oha --locked --debug --quiet --root "$cache/oha" || fail 1 "oha could not be built: see above"
    fi
    if [ ! -x "$cache/tools/bin/vegeta" ]; then
        may_install "vegeta in $cache/tools"
        command -v go >/dev/null || install_missing golang-go
        GOBIN=$cache/tools/bin go install github.com/tsenart/vegeta/v12@v12.13.0 || fail 1 "vegeta could not be built: see above"
    fi
    say "the load programs are there (services of their packages were not started)"
}

socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
case $socket in unix://*) socket=${socket#unix://} ;; *) socket= ;; esac
# By socket, so that an engine of a test and the machine's own are told apart.
mark=/run/jung-dockerd$(printf '%s' "$socket" | tr '/' '-').pid
log=/var/log/jung-dockerd.log

# The engine's version, if one answers. In perl, since perl-base is on every Debian and a client need not be.
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

# Waits for an engine that is being started.
wait_for_engine() {
    tries=0
    until engine_version >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || return 1
        [ -z "${1:-}" ] || as_root kill -0 "$1" 2>/dev/null || return 1
        sleep 0.5
    done
}

start_by_hand() {
    # A session of its own: it must outlive this script and its terminal.
    # shellcheck disable=SC2016
    as_root sh -c 'setsid dockerd -H "unix://$1" $4 >"$2" 2>&1 </dev/null & echo $! >"$3"' \
        sh "$socket" "$log" "$mark" "${DOCKERD_OPTIONS:-}"
    wait_for_engine "$(cat "$mark")" && return 0
    as_root rm -f "$mark"
    as_root tail -n 15 "$log" >&2
    fail 1 "dockerd does not come up; the end of $log is above"
}

# Debian's engine. Where there is systemd, its package starts it.
install_docker() {
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || install_package docker.io iptables
}

docker_setup() {
    [ -n "$socket" ] || fail 2 "DOCKER_HOST=$DOCKER_HOST is not on this host: unset it"
    if version=$(engine_version); then
        say "Docker's engine $version is there"
    else
        install_docker
        PATH=$PATH:/usr/sbin:/sbin
        # Installing it may already have started it.
        if version=$(engine_version); then :
        elif [ -d /run/systemd/system ] && [ -z "${DOCKERD_OPTIONS:-}" ]; then
            as_root systemctl enable --now docker
            wait_for_engine || fail 1 "docker.service does not answer: look at 'journalctl -u docker'"
            say "started docker.service"
        else
            start_by_hand
            say "started dockerd by hand (pid $(cat "$mark"), log $log)"
        fi
        say "Docker's engine $(engine_version) is there"
    fi
    user=$(id -un)
    if [ "$user" != root ] && ! id -nG | tr ' ' '\n' | grep -qx docker; then
        say "$user may not use it yet: 'sudo usermod -aG docker $user', then log in again (the group is as good as root)"
    fi
}

docker_stop() {
    [ -e "$mark" ] || { say "no engine was started by hand"; return 0; }
    pid=$(cat "$mark")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        as_root kill "$pid"
        tries=0
        while as_root kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 60 ]; do tries=$((tries + 1)); sleep 0.5; done
        [ ! -e "/proc/$pid" ] || fail 1 "dockerd (pid $pid) does not end"
        say "ended dockerd (pid $pid)"
    else
        say "the dockerd that was started by hand is gone already"
    fi
    as_root rm -f "$mark"
}

# A runtime: installed here; the engine, which others may use, is told by whoever owns it.
runtime_setup() {
    install_missing "$1"
    path=/usr/bin/$1
    # See there: Debian 12's runsc does not start a sandbox on a newer kernel.
    if [ "$1" = runsc ] && [ -e /proc/sys/net/core/rmem_default ] && runsc --version | grep -q '0.0~2022'; then
        path=$(cd "$(dirname "$0")" && pwd)/docker/runsc.sh
    fi
    say "$1 is there: $("$1" --version | head -n 1)"
    say "tell the engine in /etc/docker/daemon.json: {\"runtimes\": {\"$1\": {\"path\": \"$path\"}}}, then 'systemctl reload docker' (or kill -HUP its dockerd)"
}

podman_setup() {
    install_missing podman
    say "$(podman --version) is there; its service: 'systemctl enable --now podman.socket', or 'podman system service --time=0 unix:///run/podman/podman.sock'"
}

lxc_setup() {
    install_missing lxc
    say "LXC $(lxc-start --version) is there; a runner that uses it has to be root"
}

yes=
wants=
for arg in "$@"; do
    case $arg in
        --yes | -y) yes=1 ;;
        --help | -h) help; exit 0 ;;
        build | lint | test | bench | load-programs | native | docker | docker-running | stop-docker | crun | runsc | podman | lxc) wants="$wants $arg" ;;
        *) help >&2; fail 2 "what is $arg?" ;;
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
        native) say "native needs nothing" ;;
        docker-running) version=$(engine_version) || exit 1; say "Docker's engine $version is there" ;;
        docker) docker_setup ;;
        crun | runsc) runtime_setup "$want" ;;
        podman) podman_setup ;;
        lxc) lxc_setup ;;
        stop-docker) docker_stop ;;
    esac
done
