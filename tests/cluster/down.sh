#!/bin/bash
# Stops and removes everything that up.sh started. "down.sh --caches" also removes the caches.
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/cluster/engine.sh
. "$CLUSTER_DIR/engine.sh"

remove_containers() {
  local containers images
  containers=$(docker ps --all --quiet --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME")
  # A second cluster may share the registry.
  if [ -z "${OTHER_CLUSTER:-}" ] || [ -n "${OTHER_REGISTRY_PORT:-}" ]; then
    containers+=" $(docker ps --all --quiet --filter "name=^$REGISTRY_CONTAINER\$")"
  fi
  # shellcheck disable=SC2086 # a list
  [ -z "${containers// /}" ] || logged remove docker rm --force --volumes $containers
  # Fails if another kind cluster uses the network, which then stays.
  docker network rm kind >/dev/null 2>&1 || true
  if [ "${1:-}" = --caches ]; then
    images=$(docker image ls --quiet --filter 'reference=modelyard/*' --filter "reference=$REGISTRY/modelyard/*" | sort -u)
    # shellcheck disable=SC2086 # a list
    [ -z "$images" ] || logged remove-images docker image rm --force $images
  fi
}

# Only a checkout that has called up.sh stops the cluster.
if [ -d "$RESULT" ] && ! grep -qs 'CLUSTER_KIND=existing' "$RESULT/env"; then
  lock
  echo "cluster: taking down $CLUSTER_NAME and all that was started for it"
  if engine_answers; then
    remove_containers "$@"
  fi
  # Another cluster may still use the engine.
  [ -n "$(docker ps --quiet --filter label=io.x-k8s.kind.cluster 2>/dev/null)" ] || stop_engine
fi
rm -rf "$RESULT"
if [ "${1:-}" = --caches ]; then
  rm -rf "$CACHE"
fi
