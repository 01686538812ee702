#!/bin/sh
# Builds the static release binary of guest-init, the first process of Linux guests, and prints its path: next to the static workload of
# deploy/build-workload.sh, where the runner looks for it.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
triple=$(rustc -vV | sed -n 's/^host: //p')

CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols \
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --quiet --release --package guest-init \
    --target "$triple" --target-dir "$target/static/build" "$@" >&2

install -m 755 "$target/static/build/$triple/release/guest-init" "$target/static/guest-init.new"
if readelf --program-headers "$target/static/guest-init.new" 2>/dev/null | grep -q INTERP; then
    echo "build-init.sh: the binary asks for a dynamic loader; does $triple know crt-static?" >&2
    exit 1
fi
mv "$target/static/guest-init.new" "$target/static/guest-init"
echo "$target/static/guest-init"
