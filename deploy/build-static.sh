#!/bin/sh
# Builds a static release binary for this machine and prints its path: build-static.sh PACKAGE BINARY [cargo arguments].
#
# It is written to $CARGO_TARGET_DIR/static/BINARY (default: target/static/BINARY). It needs no shared library, so it runs in an image FROM scratch, in an
# initramfs and in a guest.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
package=$1 binary=$2
shift 2
static=${CARGO_TARGET_DIR:-$root/target}/static
triple=$(rustc -vV | sed -n 's/^host: //p')

# The first build takes minutes, which a terminal should show.
quiet=--quiet
[ ! -t 2 ] || quiet=

# With --target the flags apply to the binary only, not to build scripts and procedural macros. The separate directory keeps cargo from rebuilding
# what is built without the flags.
CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols \
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build $quiet --release --package "$package" --bin "$binary" \
    --target "$triple" --target-dir "$static/build" "$@" >&2

install -m 755 "$static/build/$triple/release/$binary" "$static/$binary.new"
if readelf --program-headers "$static/$binary.new" 2>/dev/null | grep -q INTERP; then
    echo "build-static.sh: $binary needs a dynamic loader; does $triple support crt-static?" >&2
    exit 1
fi
mv "$static/$binary.new" "$static/$binary"
echo "$static/$binary"
