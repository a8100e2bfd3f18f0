#!/bin/sh
# Builds the image rcluster/r-base:bookworm from Debian packages: no registry needed.
#
#   build.sh [CACHE_DIR]        (default: $RCLUSTER_CACHE, else ~/.cache/rcluster)
#
# The packed file system is kept in CACHE_DIR under the hash of its recipe, so that a second
# machine (or a second engine) only imports it. Safe to repeat: does nothing where the image
# exists with the same recipe. Needs root, mmdebstrap, docker, and an engine that answers.
set -eu

IMAGE=rcluster/r-base:bookworm
SUITE=bookworm
PACKAGES=r-base-core,r-cran-parallelly,fonts-dejavu-core,ca-certificates,wget,tzdata
ENVIRONMENT='ENV LANG=C.UTF-8 LC_ALL=C.UTF-8'
CACHE=${1:-${RCLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rcluster}}

say() { printf 'r-base: %s\n' "$*"; }
fail() {
    printf 'r-base: %s\n' "$*" >&2
    exit 1
}

# The script is the recipe: whatever changes in it makes another image.
RECIPE=$(sha256sum "$0" | cut -c1-16)
TAR=$CACHE/r-base-$SUITE-$RECIPE.tar

command -v docker >/dev/null || fail 'the docker command is missing: apt-get install docker.io'
docker info >/dev/null 2>&1 || fail 'the Docker engine does not answer: start it (deploy/environments/docker_engine.sh)'
present=$(docker image inspect -f '{{index .Config.Labels "rcluster.recipe"}}' "$IMAGE" 2>/dev/null || true)
if [ "$present" = "$RECIPE" ]; then
    say "$IMAGE is there"
    exit 0
fi

mkdir -p "$CACHE"
exec 9>"$CACHE/r-base.lock"
flock 9
if [ ! -s "$TAR" ]; then
    [ "$(id -u)" = 0 ] || fail 'building needs root'
    command -v mmdebstrap >/dev/null || fail 'mmdebstrap is missing: apt-get install mmdebstrap'
    # The machine's own mirror where it is the same suite.
    sources=/etc/apt/sources.list.d/debian.sources
    grep -qs "Suites:.*$SUITE" "$sources" || sources=
    [ -n "$sources" ] || { grep -qs "^deb.*debian.* $SUITE main" /etc/apt/sources.list && sources=/etc/apt/sources.list; }
    say "building from Debian packages ($PACKAGES); about a minute"
    rm -f "$CACHE"/r-base-*.part
    mmdebstrap --quiet --variant=minbase \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="$PACKAGES" --format=tar "$SUITE" "$TAR.part" ${sources:+"$sources"} \
        || fail 'mmdebstrap failed; its words are above'
    mv "$TAR.part" "$TAR"
    for old in "$CACHE"/r-base-"$SUITE"-*.tar; do
        [ "$old" = "$TAR" ] || rm -f "$old"
    done
    say "packed $(du -m "$TAR" | cut -f1) MB to $TAR"
fi
say "importing $IMAGE"
docker import -c "$ENVIRONMENT" -c 'CMD ["R"]' -c "LABEL rcluster.recipe=$RECIPE" "$TAR" "$IMAGE" >/dev/null
say "$IMAGE is there"
