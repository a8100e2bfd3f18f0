#!/bin/sh
# Makes the file system of the guests from Debian packages, once, and prints its folder.
#
#   make_guests.sh [CACHE_DIR]        (default: $RCLUSTER_CACHE, else /var/cache/rcluster)
#
# It is kept in CACHE_DIR/nfs under the hash of its recipe. Its release is this machine's, so that
# the guests' Python can use this machine's virtual environment. About 35 s and 190 MB. Needs root,
# mmdebstrap and user-mode-linux. Safe to repeat.
set -eu

PACKAGES=python3,nfs-kernel-server,nfs-common,iproute2,kmod,procps
CACHE=${1:-${RCLUSTER_CACHE:-/var/cache/rcluster}}/nfs

say() { printf 'nfs: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

[ "$(id -u)" = 0 ] || fail 'the guests need root: they get network devices and a file system of their own'
command -v mmdebstrap >/dev/null || fail 'mmdebstrap is missing: apt-get install mmdebstrap'
command -v linux.uml >/dev/null || fail 'the guests'"'"' kernel is missing: apt-get install user-mode-linux'
for modules in /usr/lib/uml/modules/*; do :; done
[ -d "$modules" ] || fail "the kernel's modules are missing: apt-get install --reinstall user-mode-linux"
SUITE=$(. /etc/os-release && echo "$VERSION_CODENAME")
# The script and the kernel are the recipe: whatever changes makes another tree.
ROOT=$CACHE/guest-$SUITE-$({ cat "$0"; echo "$modules"; } | sha256sum | cut -c1-16)

mkdir -p "$CACHE"
exec 9>"$CACHE/guest.lock"
flock 9
if [ ! -d "$ROOT" ]; then
    # The machine's own mirror where it is the same suite.
    sources=/etc/apt/sources.list.d/debian.sources
    grep -qs "Suites:.*$SUITE" "$sources" || sources=
    [ -n "$sources" ] || { grep -qs "^deb.*debian.* $SUITE main" /etc/apt/sources.list && sources=/etc/apt/sources.list; } || :
    say "making the guests from Debian packages ($PACKAGES); about half a minute"
    rm -rf "$CACHE"/guest-*
    touch "$CACHE/guest.lock"
    mmdebstrap --quiet --variant=minbase \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="$PACKAGES" \
        --customize-hook='chroot "$1" useradd --uid 4321 --no-create-home rcluster' \
        "$SUITE" "$ROOT.part" ${sources:+"$sources"} >&2 || fail 'mmdebstrap failed; its words are above'
    mkdir -p "$ROOT.part/lib/modules"
    cp -a "$modules" "$ROOT.part/lib/modules/"
    chroot "$ROOT.part" depmod "${modules##*/}"
    # All that a guest has of its own: the rest of what it runs is in the clone, see guest/init.sh.
    cat >"$ROOT.part/first.sh" <<'FIRST'
#!/bin/sh
mount -t tmpfs tmpfs /mnt
mkdir /mnt/clone /mnt/venv /mnt/storage
mount -t hostfs -o "ro,$clone" hostfs /mnt/clone
mount -t hostfs -o "ro,$venv" hostfs /mnt/venv
exec /bin/sh /mnt/clone/tests/nfs/guest/init.sh
FIRST
    chmod 755 "$ROOT.part/first.sh"
    mv "$ROOT.part" "$ROOT"
    say "made $ROOT ($(du -sm "$ROOT" | cut -f1) MB)"
fi
echo "$ROOT"
