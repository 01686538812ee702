#!/bin/sh
# Installs what guests need on Debian: QEMU, its image tools, virtiofsd, and the tools that deploy/linux uses. Safe to run again.
set -eu

missing=
for package in qemu-system-x86 qemu-utils cpio xz-utils zstd debootstrap e2fsprogs; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
# Debian 12 has virtiofsd in a package that QEMU depends on, later releases in one of its own.
virtiofsd() { [ -e /usr/lib/qemu/virtiofsd ] || [ -e /usr/libexec/virtiofsd ]; }
[ -n "$missing" ] || ! virtiofsd || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup-qemu.sh: root is needed and sudo is not installed: run it as root" >&2; exit 3; }
    as_root=sudo
fi
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }
# shellcheck disable=SC2086
[ -z "$missing" ] || install $missing
virtiofsd || install virtiofsd
