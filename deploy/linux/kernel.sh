#!/bin/sh
# Downloads the distribution's cloud kernel with its modules without installing it, and describes it as the guest `linux`.
#
#   deploy/linux/kernel.sh CACHE [STATE]
#
# CACHE gets kernel/vmlinuz and kernel/modules/. STATE, the runner's state directory, gets guests/linux.toml unless it exists. Needs apt-get and dpkg-deb
# (Debian), and a package list (apt-get update). Does nothing if the kernel exists; remove CACHE/kernel for a newer one.
set -eu

cache=${1:?"usage: kernel.sh CACHE [STATE]"}
state=${2:-}
package=${JUNG_KERNEL_PACKAGE:-linux-image-cloud-amd64}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

if [ ! -e "$cache/kernel/vmlinuz" ]; then
    work=$(mktemp -d "$cache/.kernel.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # The package of that name is a metapackage, which depends on the newest kernel.
    real=$(apt-cache depends "$package" | sed -n 's/^  Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    real=${real:-$package}
    (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$real")
    dpkg-deb -x "$work"/*.deb "$work/root"
    mkdir "$work/kernel"
    mv "$work"/root/boot/vmlinuz-* "$work/kernel/vmlinuz"
    mv "$(echo "$work"/root/lib/modules/*/kernel "$work"/root/usr/lib/modules/*/kernel | tr ' ' '\n' | while read -r dir; do
        [ -d "$dir" ] && echo "$dir" && break
    done)" "$work/kernel/modules"
    # Newer distributions compress modules; guest-init passes them to the kernel as they are.
    find "$work/kernel/modules" -name '*.ko.xz' -exec unxz {} +
    find "$work/kernel/modules" -name '*.ko.zst' -exec unzstd -q --rm {} +
    echo "$real" >"$work/kernel/package"
    rm -rf "$cache/kernel"
    mv "$work/kernel" "$cache/kernel"
fi

if [ -n "$state" ]; then
    mkdir -p "$state/guests"
    if [ ! -e "$state/guests/linux.toml" ]; then
        hash=$(sha256sum "$cache/kernel/vmlinuz" | cut -d ' ' -f 1)
        {
            echo "# Written by deploy/linux/kernel.sh: $(cat "$cache/kernel/package")."
            echo "preset = \"linux\""
            echo "kernel = \"$cache/kernel/vmlinuz\""
            echo "kernel_sha256 = \"$hash\""
            echo "modules = \"$cache/kernel/modules\""
        } >"$state/guests/linux.toml.new"
        mv "$state/guests/linux.toml.new" "$state/guests/linux.toml"
    fi
fi
echo "$cache/kernel/vmlinuz"
