#!/bin/sh
# Finds the smallest `memory_mib` with which an experiment passes on a platform, by bisection. Every step is a complete run of the controller, which is kept in
# the results. A runner must be running (see docs/lab.md).
#
#   deploy/min-memory.sh --platform native|docker|linux-vm|osv|includeos|guest [--from MIB] [--to MIB] [--file FILE] [--controller PROGRAM]
#                        [--keys 'TOML'] [-- OPTIONS OF THE CONTROLLER]
#
# --keys are further lines of the [[platform]] table, separated by `;`, e.g. --keys 'acceleration = "tcg"; network = "user"'. For any other guest use
# --platform guest --keys 'guest = "hermit"' with the name of its description.
# Needs no privileges. Exit code: 0 with the answer on the last line, 1 if even --to does not pass, 2 for a usage error, 3 if the controller ended for another
# reason than the service (its exit code is printed).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
platform=
from=4
to=256
file=$here/experiments/min-memory.toml
controller=
keys=

usage() {
    sed -n '5,6p' "$0" | cut -c3- >&2
    exit 2
}

whole() {
    case $2 in
    '' | *[!0-9]*) echo "$1: expected a whole number of MiB, not \"$2\"" >&2 && exit 2 ;;
    esac
}

while [ $# -gt 0 ]; do
    case $1 in
    --) shift && break ;;
    --platform | --from | --to | --file | --controller | --keys)
        [ $# -ge 2 ] || usage
        case $1 in
        --platform) platform=$2 ;;
        --from) from=$2 ;;
        --to) to=$2 ;;
        --file) file=$2 ;;
        --controller) controller=$2 ;;
        --keys) keys=$2 ;;
        esac
        shift 2
        ;;
    *) usage ;;
    esac
done
case $platform in
native | docker | linux-vm | osv | includeos | guest) ;;
*) usage ;;
esac
whole --from "$from"
whole --to "$to"
[ "$from" -lt "$to" ] || { echo "--from must be less than --to" >&2 && exit 2; }
if [ -z "$controller" ]; then
    controller=$here/target/release/controller
    [ -x "$controller" ] || controller=$here/target/debug/controller
fi
[ -x "$controller" ] || { echo "no controller at $controller: run cargo build --release -p controller, or use --controller" >&2 && exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
printf '%s\n' "$keys" | tr ';' '\n' >"$work/keys"

# passes MIB: 0 if every trial counts, 1 if not; exits if the controller ended for another reason. A step that failed because of the load generator's machine or
# the host says nothing about memory, and is repeated.
passes() {
    mib=$1
    shift
    sed -e "s/^name = \"min-memory\".*/name = \"min-memory-$platform\"/" -e "s/^memory_mib = .*/memory_mib = $mib/" \
        -e "/^kind = \"native\"/{s/native/$platform/;r $work/keys
}" "$file" >"$work/step.toml"
    for try in 1 2 3 4 5; do
        code=0
        "$controller" --config "$work/step.toml" "$@" >"$work/log" 2>&1 || code=$?
        case $code in
        0) echo "$mib MiB: passes" && return 0 ;;
        8) ;;
        *)
            cat "$work/log" >&2
            echo "the controller exited with $code at $mib MiB" >&2
            exit 3
            ;;
        esac
        case $(why) in
        *"was killed for memory"* | *crashed* | *"aborted during"* | *"requests failed"*) break ;;
        *generator* | *hypervisor*) echo "$mib MiB: try $try is inconclusive: $(why)" ;;
        *) break ;;
        esac
        if [ "$try" = 5 ]; then
            echo "$mib MiB: undecided: the host is too busy; try again when it is idle" >&2
            exit 3
        fi
    done
    echo "$mib MiB: does not pass: $(why)"
    return 1
}

# The first reason why a trial was given up.
why() {
    sed -n 's/.*given up after [0-9]* attempts: //p' "$work/log" | head -n 1 | cut -c1-200
}

passes "$to" "$@" || { echo "$platform: even $to MiB do not pass: raise --to" && exit 1; }
low=$((from - 1))
high=$to
while [ $((high - low)) -gt 1 ]; do
    middle=$(((low + high) / 2))
    if passes "$middle" "$@"; then high=$middle; else low=$middle; fi
done

# Both limits once more, so that chance does not decide.
if ! passes "$high" "$@"; then
    echo "$platform: $high MiB passed once and failed once: the smallest memory that passes is above" && exit 1
fi
if [ "$low" -ge "$from" ] && passes "$low" "$@"; then
    echo "$platform: $low MiB failed once and passed once: the smallest memory that passes is about $high MiB" && exit 0
fi
if [ "$low" -lt "$from" ]; then
    echo "$platform: $high MiB pass, and less was not tried: lower --from"
else
    echo "$platform: the smallest memory that passes is $high MiB; $low MiB do not"
fi
