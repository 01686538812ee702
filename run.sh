#!/usr/bin/env bash
# Takes a fresh machine to a report that compares a native process with a Docker container, in one command. Can be run repeatedly.
set -euo pipefail
export PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
run.sh: installs dependencies, builds Jung, starts a runner on this machine, runs an experiment, and prints the path of the report

  ./run.sh [--yes] [--no-docker] [--config FILE]

  --yes         also install Docker, without asking
  --no-docker   do not install Docker; optional platforms that need it are left out
  --config      experiment file (default: experiments.toml)

The controller, its embedded Kafka broker and the runner all run on this machine; for two machines see README.md.
Requires Debian or Ubuntu, and root or sudo to install packages. Exit code: that of `controller` (see controller --help).
TEXT
}

yes='' docker=ask config=experiments.toml
while [ $# -gt 0 ]; do
    case $1 in
        --yes | -y) yes=1 ;;
        --no-docker) docker=no ;;
        --config) config=${2:?--config requires a file}; shift ;;
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
    read -r -p "No Docker engine is running. Install and start Docker (package docker.io)? [y/N] " answer
    [[ $answer == [yY]* ]]
}

say "installing dependencies"
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
# On SIGTERM the runner stops its services and exits.
trap 'kill -TERM $runner 2>/dev/null; wait $runner 2>/dev/null || true' EXIT
sleep 0.5
if ! kill -0 $runner 2>/dev/null; then
    cat "$state/runner.log" >&2
    exit 1
fi

say "running $config"
code=0
"$bin/controller" --config "$config" || code=$?
[ $code -eq 0 ] || echo "the log of the runner is $state/runner.log" >&2
exit $code
