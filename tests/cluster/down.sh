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
  containers+=" $(docker ps --all --quiet --filter "name=^$REGISTRY_CONTAINER\$")"
  # shellcheck disable=SC2086 # a list
  [ "$containers" = " " ] || logged remove docker rm --force --volumes $containers
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
  echo "cluster: taking down $CLUSTER_NAME, $REGISTRY_CONTAINER and the Docker engine if it was started for them"
  if engine_answers; then
    remove_containers "$@"
  fi
  stop_engine
fi
rm -rf "$RESULT"
if [ "${1:-}" = --caches ]; then
  rm -rf "$CACHE"
fi
