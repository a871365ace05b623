# shellcheck shell=bash
# Shared by up.sh and down.sh: where things are, how to say what happens.

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CHECKOUT=$(cd "$CLUSTER_DIR/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/modelyard/cluster
RESULT=$CHECKOUT/.cluster

# shellcheck source=tests/cluster/pins.env
. "$CLUSTER_DIR/pins.env"

NODE_CONTAINER=$CLUSTER_NAME-control-plane
REGISTRY_CONTAINER=kind-registry
REGISTRY=localhost:5001
PUSHED_PYTHON_IMAGE=$REGISTRY/modelyard/python:$PYTHON_VERSION

export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}

die() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

# note TEXT: one line under the current step
note() {
  printf '              %s\n' "$*"
}

# step I/N TEXT: a line with the time since the start
step() {
  printf '%6s %3d:%02d  %s\n' "[$1]" $((SECONDS / 60)) $((SECONDS % 60)) "$2"
}

# One call at a time: held on file descriptor 9 until this process ends. What
# outlives it (the Docker engine) must be started with 9>&-.
lock() {
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  flock --nonblock 9 || {
    echo "cluster: another call is at work, waiting for it"
    flock 9
  }
}

# logged NAME COMMAND...: output into a file, whose end is shown if the command fails.
# Not "command || die": bash ignores set -e in whatever stands before ||.
logged() {
  failing_log=$CACHE/log/$1.log
  mkdir -p "$CACHE/log"
  shift
  (set -e; "$@") >"$failing_log" 2>&1 9>&-
  failing_log=
}

show_failing_log() {
  if [ -n "${failing_log:-}" ]; then
    echo "cluster: failed; end of $failing_log:" >&2
    tail -n 20 "$failing_log" >&2
  fi
}
trap show_failing_log EXIT

# need COMMAND:PACKAGE...: installs the Debian packages of the commands that are missing
need() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! [ -e /etc/debian_version ]; then
    die "missing here: ${missing[*]} (Debian's names); install them, or run as root on Debian to have it done."
  fi
  note "installing Debian packages: ${missing[*]}"
  # No recommended packages: docker.io's would mount control groups on the host.
  logged apt-update apt-get update
  logged apt-install env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# retry SECONDS COMMAND...: until it succeeds; fails after that many seconds
retry() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.5
  done
}

engine_answers() {
  docker version >/dev/null 2>&1
}
