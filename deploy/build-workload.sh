#!/bin/sh
# Builds the static release binary of the workloads for this machine and prints its path.
#
# It is written to $CARGO_TARGET_DIR/static/workload (default: target/static/workload). It needs no shared library, so it runs in an image FROM scratch,
# in an initramfs and in a guest. Further arguments are passed to cargo.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
triple=$(rustc -vV | sed -n 's/^host: //p')

# With --target the flags apply to the binary only, not to build scripts and procedural macros. The separate directory keeps cargo from rebuilding
# what is built without the flags.
CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols \
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --quiet --release --package workloads --bin workload \
    --target "$triple" --target-dir "$target/static/build" "$@" >&2

install -m 755 "$target/static/build/$triple/release/workload" "$target/static/workload.new"
if readelf --program-headers "$target/static/workload.new" 2>/dev/null | grep -q INTERP; then
    echo "build-workload.sh: the binary needs a dynamic loader; does $triple support crt-static?" >&2
    exit 1
fi
mv "$target/static/workload.new" "$target/static/workload"
echo "$target/static/workload"
