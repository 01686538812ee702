#!/usr/bin/env bash
# From a fresh machine to a report that compares a native process with a Docker container, in one command. Can be run twice.
set -euo pipefail
export PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
run.sh: installs what is missing, builds Jung, starts a runner here, runs an experiment, names the report

  ./run.sh [--yes] [--no-docker] [--config FILE]

  --yes         install Docker, too, without asking
  --no-docker   do not ask for Docker; platforms that need it are left out if they are optional
  --config      the experiment, default experiments.toml

The controller, its embedded Kafka broker and the runner all run on this machine; for two machines see README.md.
Needs Debian or Ubuntu, and root or sudo for the packages. Exit code: that of `controller` (see controller --help).
TEXT
}

yes='' docker=ask config=experiments.toml
while [ $# -gt 0 ]; do
    case $1 in
        --yes | -y) yes=1 ;;
        --no-docker) docker=no ;;
        --config) config=${2:?--config needs a file}; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

say() { printf '\n== %s\n' "$*"; }

want_docker() {
    [ "$docker" = no ] && return 1
    deploy/setup.sh docker-running >/dev/null 2>&1 && return 1
    [ -n "$yes" ] && return 0
    [ -t 0 ] || return 1
    local answer
    read -r -p "No Docker engine runs here. Install and start one (docker.io)? [y/N] " answer
    [[ $answer == [yY]* ]]
}

say "installing what is missing"
deploy/setup.sh --yes build
if want_docker; then deploy/setup.sh --yes docker; fi

say "building"
cargo build --release --package controller --package runner
workload=$(deploy/build-workload.sh | tail -n 1)
bin=${CARGO_TARGET_DIR:-target}/release

say "starting a runner on this machine"
state=${XDG_STATE_HOME:-$HOME/.local/state}/jung
mkdir -p "$state"
"$bin/runner" --state "$state" --workload "$workload" --services "$PWD/services" --brokers 127.0.0.1:9092 >"$state/runner.log" 2>&1 &
runner=$!
# The runner ends its services and itself on TERM.
trap 'kill -TERM $runner 2>/dev/null; wait $runner 2>/dev/null || true' EXIT
sleep 0.5
if ! kill -0 $runner 2>/dev/null; then
    cat "$state/runner.log" >&2
    exit 1
fi

say "running $config"
code=0
"$bin/controller" --config "$config" || code=$?
[ $code -eq 0 ] || echo "the runner's log is $state/runner.log" >&2
exit $code
