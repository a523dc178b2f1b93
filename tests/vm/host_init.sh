#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The init of an emulated host's initramfs: root is the machine's own, read-only by 9p, with a tmpfs over it. What makes
# this host a host of its own (host_image.py) lies in /overlay and is copied on top.

set -e
/bin/busybox mkdir -p /proc /sys /dev /lower /rw /root
/bin/busybox --install -s /bin
export PATH=/bin
trap 'echo "host_init.sh: failed; a shell for you"; exec setsid cttyhack sh' EXIT

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
    insmod "$module"
done
. /host.env

mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=512000,ro hostroot /lower
mount -t tmpfs -o size=80%,mode=755 tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work overlay /root

# What the machine has enabled, mounted or configured for itself is not for the hosts: they start from the packages.
for path in etc/systemd/system etc/systemd/network etc/fstab etc/crypttab etc/rc?.d etc/modules-load.d etc/modules \
            etc/ld.so.preload etc/selinux .dockerenv etc/libvirt/qemu etc/libvirt/hooks var/lib/libvirt/qemu var/log/journal \
            var/lib/systemd usr/sbin/policy-rc.d; do
    rm -rf /root/$path
done
# Indexing manual pages anew after each package would take minutes.
rm -f /root/var/lib/man-db/auto-update
mkdir -p /root/etc/systemd/system /root/etc/libvirt/hooks
# Covered, not emptied: on the machine these change while the host boots.
mount -t tmpfs -o mode=755 tmpfs /root/run
mount -t tmpfs -o mode=1777 tmpfs /root/tmp
cp -a /overlay/. /root/

ip link set lo up
ip address add "$HOST_ADDRESS" dev eth0
ip link set eth0 up

mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
trap - EXIT
exec switch_root /root /lib/systemd/systemd
