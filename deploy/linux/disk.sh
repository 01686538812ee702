#!/bin/sh
# Builds a disk with a complete Debian by debootstrap, and describes it as the guest `debian`: the general-purpose virtual machine.
#
#   deploy/linux/disk.sh CACHE [STATE]
#
# CACHE gets disk/root.qcow2, disk/vmlinuz and disk/initrd.img. STATE, the runner's state directory, gets guests/debian.toml unless it exists. Needs root,
# debootstrap, e2fsprogs and qemu-img (deploy/linux/setup-qemu.sh), some minutes and 1 GiB. Does nothing if the disk exists; remove CACHE/disk for a newer
# one.
set -eu
PATH=$PATH:/usr/sbin:/sbin

cache=${1:?"usage: disk.sh CACHE [STATE]"}
state=${2:-}
release=${JUNG_DISK_RELEASE:-bookworm}
# The parts of Debian's cloud image that a service needs: systemd with its bus (for the power button), a kernel, cloud-init, and an SSH server, which runs only
# if the guest's description has start = "ssh".
packages=systemd-sysv,udev,dbus,iproute2,initramfs-tools,linux-image-cloud-amd64
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# debootstrap does not resolve virtual packages, which cloud-init's libraries depend on, so cloud-init is installed by apt.
fill() {
    debootstrap --variant=minbase --include="$packages" "$release" "$1" ${JUNG_DEBIAN_MIRROR:+"$JUNG_DEBIAN_MIRROR"} &&
        DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get install -y -q --no-install-recommends cloud-init openssh-server
}

# Removes debootstrap's own files, and disables what would run beside the service.
settle() {
    root=$1
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root/etc/machine-id"
    : >"$root/etc/machine-id"
    echo 'LABEL=jung-root / ext4 defaults 0 1' >"$root/etc/fstab"
    echo 'datasource_list: [NoCloud]' >"$root/etc/cloud/cloud.cfg.d/90-jung.cfg"
    chroot "$root" systemctl -q enable systemd-networkd
    chroot "$root" systemctl -q disable ssh.service
    # A host key that several machines share authenticates none of them.
    rm -f "$root"/etc/ssh/ssh_host_*
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service; do
        chroot "$root" systemctl -q mask "$unit"
    done
}

# A disk built before it had an SSH server is rebuilt.
if [ ! -e "$cache/disk/root.qcow2" ] || ! grep -q '^openssh-server' "$cache/disk/packages"; then
    [ "$(id -u)" = 0 ] || { echo "disk.sh: building a root file system needs root: use sudo" >&2; exit 3; }
    work=$(mktemp -d "$cache/.disk.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if ! fill "$work/root" >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        echo "disk.sh: debootstrap failed; the end of its output is above (JUNG_DEBIAN_MIRROR sets another mirror)" >&2
        exit 1
    fi
    settle "$work/root"
    mkdir "$work/disk"
    cp "$work"/root/boot/vmlinuz-* "$work/disk/vmlinuz"
    cp "$work"/root/boot/initrd.img-* "$work/disk/initrd.img"
    # A sparse file system of 2 GiB.
    mke2fs -q -t ext4 -L jung-root -d "$work/root" "$work/root.raw" 2G >/dev/null
    qemu-img convert -f raw -O qcow2 "$work/root.raw" "$work/disk/root.qcow2"
    chroot "$work/root" dpkg-query -W >"$work/disk/packages"
    rm -rf "$cache/disk"
    mv "$work/disk" "$cache/disk"
fi

if [ -n "$state" ]; then
    mkdir -p "$state/guests"
    if [ ! -e "$state/guests/debian.toml" ]; then
        hash=$(sha256sum "$cache/disk/vmlinuz" | cut -d ' ' -f 1)
        {
            echo "# Written by deploy/linux/disk.sh: Debian $release."
            echo "preset = \"cloud\""
            echo "kernel = \"$cache/disk/vmlinuz\""
            echo "kernel_sha256 = \"$hash\""
            echo "initrd = \"$cache/disk/initrd.img\""
            echo "append = \"root=LABEL=jung-root ro console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet systemd.show_status=false\""
            echo
            echo "[[disks]]"
            echo "path = \"$cache/disk/root.qcow2\""
            echo "format = \"qcow2\""
            echo "writable = true"
        } >"$state/guests/debian.toml.new"
        mv "$state/guests/debian.toml.new" "$state/guests/debian.toml"
    fi
fi
echo "$cache/disk/root.qcow2"
