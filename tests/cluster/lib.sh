# shellcheck shell=bash
# Paths and functions for up.sh and down.sh.

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CHECKOUT=$(cd "$CLUSTER_DIR/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/modelyard/cluster

# shellcheck source=tests/cluster/pins.env
. "$CLUSTER_DIR/pins.env"

# OTHER_CLUSTER names a second cluster, OTHER_REGISTRY_PORT a registry of its own (beside.sh). It has Traefik only with
# OTHER_HTTPS_PORT, because a port of the machine leads to one cluster.
RESULT=$CHECKOUT/.cluster${OTHER_CLUSTER:+-$OTHER_CLUSTER}
CLUSTER_NAME=${OTHER_CLUSTER:-$CLUSTER_NAME}
REGISTRY_CONTAINER=kind-registry${OTHER_REGISTRY_PORT:+-$OTHER_REGISTRY_PORT}
REGISTRY=localhost:${OTHER_REGISTRY_PORT:-5001}
HTTPS_PORT=${OTHER_HTTPS_PORT:-}
[ -n "${OTHER_CLUSTER:-}" ] || HTTPS_PORT=8443
NODE_CONTAINER=$CLUSTER_NAME-control-plane
PUSHED_PYTHON_IMAGE=$REGISTRY/modelyard/python:$PYTHON_VERSION

export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}

die() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

# note TEXT: prints one line below the current step
note() {
  printf '              %s\n' "$*"
}

# step I/N TEXT: prints a line with the time since the start
step() {
  printf '%6s %3d:%02d  %s\n' "[$1]" $((SECONDS / 60)) $((SECONDS % 60)) "$2"
}

# A lock, so that only one call runs at a time. File descriptor 9 holds it until this process ends.
# Processes that outlive this one (the Docker engine) must be started with 9>&-.
lock() {
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  flock --nonblock 9 || {
    echo "cluster: waiting for another call"
    flock 9
  }
}

# logged NAME COMMAND...: writes the output into a file, and prints its end if the command fails.
# "command || die" would not work, because bash ignores set -e in a command before ||.
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

# need COMMAND:PACKAGE...: installs the Debian packages of missing commands
need() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! [ -e /etc/debian_version ]; then
    die "missing programs: ${missing[*]} (names of Debian packages); install them, or run as root on Debian."
  fi
  note "installing Debian packages: ${missing[*]}"
  # No recommended packages: docker.io's would mount control groups on the host.
  logged apt-update apt-get update
  logged apt-install env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# retry SECONDS COMMAND...: repeats a command until it succeeds; fails after SECONDS
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
