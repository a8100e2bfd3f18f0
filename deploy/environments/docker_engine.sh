#!/bin/sh
# Makes sure that a Docker engine answers: starts one where it is installed and none runs.
#
#   docker_engine.sh [LOG_FILE]
#
# Safe to repeat. Exit status 0: an engine answers. Needs root only where one has to be started.
# Our engine runs with live-restore: containers outlive its restart and its end.
set -eu

LOG=${1:-${RCLUSTER_DOCKER_LOG:-/var/log/rcluster-dockerd.log}}
WAIT=${RCLUSTER_DOCKER_WAIT:-60}

say() { printf 'docker engine: %s\n' "$*"; }
fail() {
    printf 'docker engine: %s\n' "$*" >&2
    exit 1
}
answers() { timeout 5 docker info >/dev/null 2>&1; }
# Not `pgrep -x dockerd`: an engine inside somebody's container would count too.
engine_runs() {
    for file in /var/run/docker.pid /run/docker.pid; do
        [ -r "$file" ] && lives "$(cat "$file")" && return 0
    done
    return 1
}
# A zombie answers kill -0, and takes no part in anything.
lives() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }
wait_until_answers() {
    waited=0
    until answers; do
        [ -z "${1:-}" ] || kill -0 "$1" 2>/dev/null || return 1
        [ "$waited" -lt "$((WAIT * 5))" ] || return 1
        waited=$((waited + 1))
        sleep 0.2
    done
}

command -v docker >/dev/null || fail 'the docker command is missing: apt-get install docker.io'
if answers; then
    say 'answers'
    exit 0
fi
[ -z "${DOCKER_HOST:-}" ] || fail "the engine at DOCKER_HOST=$DOCKER_HOST does not answer: start it there"
[ "$(id -u)" = 0 ] || fail 'does not answer, and only root can start it: sudo systemctl start docker, or run this as root'
command -v dockerd >/dev/null || fail 'is not installed: apt-get install docker.io iptables'

# Two set-ups at once must not start two engines: a second one on the host's network deletes docker0.
mkdir -p /run/lock
exec 9>/run/lock/rcluster-dockerd
flock -w "$WAIT" 9 || fail 'another set-up is starting it and does not finish'
if answers; then
    say 'answers'
    exit 0
fi

if [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; then
    say 'starting docker.service'
    systemctl start docker.service || fail 'systemctl start docker failed: see journalctl -u docker'
    wait_until_answers || fail "does not answer after $WAIT s: see journalctl -u docker"
    say 'answers'
    exit 0
fi

if engine_runs; then
    say 'a dockerd process runs; waiting until it answers'
    wait_until_answers || fail 'a dockerd process runs but does not answer: look at it, or end it, and try again'
    say 'answers'
    exit 0
fi

# dockerd takes the zombie of a killed engine, or of its containerd, for alive and gives up.
for file in /run/docker.pid /run/docker/containerd/containerd.pid; do
    if [ -r "$file" ] && ! lives "$(cat "$file")"; then rm -f "$file"; fi
done
mkdir -p "$(dirname "$LOG")"
say "starting dockerd (log: $LOG)"
# A session of its own and no file of ours held open: it outlives the shell that starts it.
setsid dockerd --live-restore </dev/null >>"$LOG" 2>&1 9>&- &
engine=$!
if ! wait_until_answers "$engine"; then
    tail -n 20 "$LOG" >&2 || true
    kill "$engine" 2>/dev/null || true
    fail "could not be started; the last lines of $LOG are above"
fi
say "answers (process $engine)"
