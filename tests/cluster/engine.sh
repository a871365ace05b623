# shellcheck shell=bash
# The Docker engine: a running one, or else one that is installed and started.

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
    # On machines that start services upon installation, it runs now.
    retry 3 engine_answers || start_engine
  fi
  # The command uses the classic builder only if DOCKER_BUILDKIT is 0.
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
}

start_engine() {
  [ "$(id -u)" = 0 ] || die "no Docker engine answers at $DOCKER_HOST; start one, or run as root to have it done."
  local runtime=()
  if ! has_sys_resource; then
    # A copy, because the engine must not depend on this checkout.
    install -D -m 755 "$CLUSTER_DIR/shims/runc-no-sys-resource" "$ENGINE/runc-no-sys-resource"
    runtime=(--add-runtime "$SHIM_RUNTIME=$ENGINE/runc-no-sys-resource" --default-runtime "$SHIM_RUNTIME")
  fi
  mkdir -p "$ENGINE"
  if [ -n "$(own_engine)" ]; then
    note "waiting for the dockerd that is shutting down"
    retry 60 own_engine_ended || die "dockerd (process $(own_engine)) neither answers nor ends"
  fi
  # After a crash or a restart of the machine, another program may have this number; dockerd would then not start.
  rm -f "$ENGINE/dockerd.pid"
  note "starting dockerd, log in $ENGINE/dockerd.log"
  setsid nohup dockerd --pidfile "$ENGINE/dockerd.pid" "${runtime[@]}" </dev/null >>"$ENGINE/dockerd.log" 2>&1 9>&- &
  retry 60 engine_answers || {
    tail -n 20 "$ENGINE/dockerd.log" >&2
    die "dockerd does not answer; see $ENGINE/dockerd.log"
  }
}

# Stops the engine if start_engine started it.
stop_engine() {
  local pid
  pid=$(own_engine)
  [ -n "$pid" ] || return 0
  kill "$pid"
  retry 60 own_engine_ended || die "dockerd (process $pid) does not end"
}

# own_engine: prints the process number of the engine that start_engine started, if it runs
own_engine() {
  local pid
  pid=$(cat "$ENGINE/dockerd.pid" 2>/dev/null || true)
  # Z (zombie): the process has ended, but its parent has not collected it.
  if grep -qs '^Name:.dockerd$' "/proc/$pid/status" && ! grep -qs '^State:.Z' "/proc/$pid/status"; then
    echo "$pid"
  fi
}

own_engine_ended() {
  [ -z "$(own_engine)" ]
}

# run_kind ARGUMENT...: runs kind, with the docker shim on machines that need it
run_kind() {
  local path=$PATH
  if ! has_sys_resource && [ "$(docker info --format '{{.DefaultRuntime}}')" != "$SHIM_RUNTIME" ]; then
    path=$CLUSTER_DIR/shims:$PATH
  fi
  REAL_DOCKER=$(command -v docker) PATH=$path "$CACHE/bin/kind" "$@"
}
