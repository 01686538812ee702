#!/bin/sh
# Installs what guests need on Debian: QEMU, its image tool, and the tools of deploy/linux. Running it again changes nothing.
set -eu

missing=
for package in qemu-system-x86 qemu-utils cpio xz-utils zstd; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
