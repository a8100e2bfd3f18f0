#!/bin/sh
# Makes a Docker image of 2 MB out of Debian's busybox-static, for container tasks where nothing
# can be pulled.
#
#   image.sh [NAME]
#
# Safe to repeat. Mesos asks the registry for an image that it does not find. The default name can
# only ever be asked of this machine.
set -eu

NAME=${1:-127.0.0.1:9/rcluster-test/busybox:1}

if docker image inspect "$NAME" >/dev/null 2>&1; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
if ! apt-get download busybox-static >apt.log 2>&1; then
    cat apt.log >&2
    exit 1
fi
dpkg-deb --extract busybox-static_*.deb package
mkdir -p root/bin root/etc root/tmp
cp "$(find package -path '*bin/busybox' -type f)" root/bin/busybox
for applet in $(root/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"
done
echo 'root:x:0:0::/:/bin/sh' >root/etc/passwd
chmod 1777 root/tmp
tar -C root --owner=0 --group=0 -c . | docker import - "$NAME" >/dev/null
