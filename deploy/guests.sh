#!/bin/sh
# Describes guests for a runner: Linux with the distribution's kernel, and OSv and IncludeOS with kernels that you provide.
#
#   deploy/guests.sh STATE [--cache DIR] [--osv KERNEL] [--includeos IMAGE] [--disk]
#
# STATE is the runner's state directory. It gets guests/linux.toml, guests/osv.toml, guests/includeos.toml and, with --disk, guests/debian.toml. Existing files
# are not changed. Kernel and disk go to DIR (default: JUNG_GUEST_CACHE, or ~/.cache/jung/guests). Needs QEMU (deploy/linux/setup-qemu.sh); --disk also needs
# root and some minutes. Exit code: 0, 1 if something failed, 2 for a usage error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${JUNG_GUEST_CACHE:-$HOME/.cache/jung/guests}
state=
osv=
includeos=
disk=

usage() {
    sed -n '4p' "$0" | cut -c3- >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --disk) disk=1 && shift ;;
    --cache | --osv | --includeos)
        [ $# -ge 2 ] || usage
        case $1 in
        --cache) cache=$2 ;;
        --osv) osv=$2 ;;
        --includeos) includeos=$2 ;;
        esac
        shift 2
        ;;
    -*) usage ;;
    *)
        [ -z "$state" ] || usage
        state=$1 && shift
        ;;
    esac
done
[ -n "$state" ] || usage

# describe PRESET KERNEL: writes a minimal description with the kernel and its hash.
describe() {
    [ -r "$2" ] || { echo "guests.sh: cannot read $2: give the path of a kernel for $1 (see deploy/$1/README.md)" >&2; exit 1; }
    file=$state/guests/$1.toml
    kernel=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
    if [ -e "$file" ]; then
        echo "$file exists and is not changed"
        return
    fi
    {
        echo "# Written by deploy/guests.sh."
        echo "preset = \"$1\""
        echo "kernel = \"$kernel\""
        echo "kernel_sha256 = \"$(sha256sum "$kernel" | cut -d ' ' -f 1)\""
    } >"$file.new"
    mv "$file.new" "$file"
    echo "$file"
}

mkdir -p "$state/guests"
"$here/linux/kernel.sh" "$cache" "$state" >/dev/null
echo "$state/guests/linux.toml"
[ -z "$osv" ] || describe osv "$osv"
[ -z "$includeos" ] || describe includeos "$includeos"
if [ -n "$disk" ]; then
    "$here/linux/disk.sh" "$cache" "$state" >/dev/null
    echo "$state/guests/debian.toml"
fi
