#!/bin/sh
# Process 1 of every guest, started by /first.sh of its tree. From the kernel's command line:
# name=... address=A.B.C.D role=server|client, and for the server lease=SECONDS.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount -t proc proc /proc
mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
for folder in /run /tmp /srv; do mount -t tmpfs tmpfs $folder; done
chmod 1777 /tmp
# An NFSv4 client's identity: two clients with one name destroy each other's state.
hostname "$name"
ip link set lo up
ip link set eth0 up
ip address add "$address/24" dev eth0
modprobe nfs
modprobe nfsv4
modprobe sch_netem
if [ "$role" = server ]; then
    modprobe nfsd
    mount /dev/ubda /srv
    mkdir -p /srv/export /srv/state
    chown rcluster:rcluster /srv/export
    # What must outlive a crash: which clients hold state.
    cp -an /var/lib/nfs/. /srv/state/
    mount --bind /srv/state /var/lib/nfs
    mkdir -p /run/rpc_pipefs
    mount -t rpc_pipefs rpc /run/rpc_pipefs
    mount -t nfsd nfsd /proc/fs/nfsd
    echo "$lease" >/proc/fs/nfsd/nfsv4leasetime
    echo "$lease" >/proc/fs/nfsd/nfsv4gracetime
    # root_squash, the default: all that the portal and its runners do is done by an ordinary user.
    exportfs -i -o rw,sync,root_squash,no_subtree_check,fsid=0 '*:/srv/export'
    rpc.mountd -N 3
    rpc.nfsd -N 3 8
fi
python3 /mnt/clone/tests/nfs/guest/agent.py
echo o >/proc/sysrq-trigger
