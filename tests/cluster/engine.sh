# shellcheck shell=bash
# The Docker engine: uses the one that runs, else installs and starts one.

ENGINE=$CACHE/engine
SHIM_RUNTIME=no-sys-resource

# Is CAP_SYS_RESOURCE (bit 24) in this machine's bounding set?
has_sys_resource() {
  local bounding
  bounding=$(awk '/^CapBnd/ {print $2}' /proc/self/status)
  ((0x$bounding >> 24 & 1))
}

ensure_engine() {
  [[ $DOCKER_HOST = unix://* ]] || die "DOCKER_HOST=$DOCKER_HOST: the cluster needs a Docker engine of this machine, at unix://<path>."
  if ! engine_answers; then
    need dockerd:docker.io iptables:iptables
    need docker:docker-cli # part of docker.io up to Debian 12
    # Where services start upon installation it is up by now.
    retry 3 engine_answers || start_engine
  fi
  # The command falls back to the classic builder only when told to.
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
}

start_engine() {
  [ "$(id -u)" = 0 ] || die "no Docker engine answers at $DOCKER_HOST; start one, or run as root to have it done."
  local runtime=()
  if ! has_sys_resource; then
    # A copy: the engine must not depend on this checkout.
    install -D -m 755 "$CLUSTER_DIR/shims/runc-no-sys-resource" "$ENGINE/runc-no-sys-resource"
    runtime=(--add-runtime "$SHIM_RUNTIME=$ENGINE/runc-no-sys-resource" --default-runtime "$SHIM_RUNTIME")
  fi
  mkdir -p "$ENGINE"
  if [ -n "$(own_engine)" ]; then
    note "waiting for the dockerd that is shutting down"
    retry 60 own_engine_ended || die "dockerd (process $(own_engine)) neither answers nor ends"
  fi
  # After a crash or a restart of the machine the number may be another program's, and dockerd would refuse to start.
  rm -f "$ENGINE/dockerd.pid"
  note "starting dockerd, log in $ENGINE/dockerd.log"
  setsid nohup dockerd --pidfile "$ENGINE/dockerd.pid" "${runtime[@]}" </dev/null >>"$ENGINE/dockerd.log" 2>&1 9>&- &
  retry 60 engine_answers || {
    tail -n 20 "$ENGINE/dockerd.log" >&2
    die "dockerd does not answer; see $ENGINE/dockerd.log"
  }
}

# Ends the engine if it is one that start_engine started.
stop_engine() {
  local pid
  pid=$(own_engine)
  [ -n "$pid" ] || return 0
  kill "$pid"
  retry 60 own_engine_ended || die "dockerd (process $pid) does not end"
}

# own_engine: the process number of the engine that start_engine started, if it lives
own_engine() {
  local pid
  pid=$(cat "$ENGINE/dockerd.pid" 2>/dev/null || true)
  # Z: it ended, but its parent has not yet taken notice.
  if grep -qs '^Name:.dockerd$' "/proc/$pid/status" && ! grep -qs '^State:.Z' "/proc/$pid/status"; then
    echo "$pid"
  fi
}

own_engine_ended() {
  [ -z "$(own_engine)" ]
}

# run_kind ARGUMENT...: kind, with the docker shim where it is needed
run_kind() {
  local path=$PATH
  if ! has_sys_resource && [ "$(docker info --format '{{.DefaultRuntime}}')" != "$SHIM_RUNTIME" ]; then
    path=$CLUSTER_DIR/shims:$PATH
  fi
  REAL_DOCKER=$(command -v docker) PATH=$path "$CACHE/bin/kind" "$@"
}
