#!/bin/bash
# Starts the local cluster unless it runs; see README.md. Environment:
#   CLUSTER=existing                use the cluster of KUBECONFIG and the registry REGISTRY_PUSH instead
#   NODES=3                         one control plane and two workers (default: one node)
#   CLUSTER_IMAGES=published|built  do not check whether Docker Hub answers
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for file in engine parts images offline/node-image cluster traefik existing; do
  # shellcheck source=/dev/null
  . "$CLUSTER_DIR/$file.sh"
done

write_env() {
  local names
  names=$(node_containers)
  {
    echo "# Written by tests/cluster/up.sh, to be sourced."
    printf 'export %s\n' \
      "CLUSTER_KIND=kind" \
      "KUBECONFIG=$RESULT/kubeconfig" \
      "PATH=$CACHE/bin:\$PATH" \
      "DOCKER_HOST=$DOCKER_HOST" \
      "REGISTRY_PUSH=$REGISTRY" \
      "REGISTRY_INTERNAL=$REGISTRY_CONTAINER:5000" \
      "REGISTRY_SCHEME=http" \
      "REGISTRY_CONTAINER=$REGISTRY_CONTAINER" \
      "PYTHON_BASE_IMAGE=$PUSHED_PYTHON_IMAGE" \
      "KIND_CLUSTER_NAME=$CLUSTER_NAME" \
      "CONTROL_PLANE_CONTAINER=$NODE_CONTAINER" \
      "CLUSTER_NODES=$(wc -l <<<"$names")" \
      "NETWORK_POLICY_ENFORCED=$(network_policy_enforced)"
    [ -z "$HTTPS_PORT" ] || printf 'export %s\n' \
      "HTTPS_GATEWAY=traefik/public" "HTTPS_ADDRESS=127.0.0.1" "HTTPS_PORT=$HTTPS_PORT" "HTTPS_CA=$RESULT/ca.crt"
    [ -z "${DOCKER_BUILDKIT:-}" ] || echo "export DOCKER_BUILDKIT=$DOCKER_BUILDKIT"
  } >"$RESULT/env.new"
  mv "$RESULT/env.new" "$RESULT/env"
}

# The pod network of the published node image enforces NetworkPolicy; that of the built image does not.
network_policy_enforced() {
  [ "$(images_of_cluster)" = published ] && echo 1 || echo 0
}

mkdir -p "$RESULT"
if [ "${CLUSTER:-kind}" = existing ]; then
  use_existing
  exit
fi
unset KUBECONFIG
lock
step 1/7 "Docker engine"
ensure_engine
step 2/7 "kind, helm, kubectl"
ensure_tools
step 3/7 "cluster $CLUSTER_NAME"
ensure_cluster
logged kubeconfig run_kind export kubeconfig --name "$CLUSTER_NAME" --kubeconfig "$RESULT/kubeconfig"
export KUBECONFIG=$RESULT/kubeconfig
step 4/7 "registry $REGISTRY"
ensure_registry
step 5/7 "base images"
ensure_base_images
step 6/7 "Traefik"
[ -z "$HTTPS_PORT" ] || ensure_traefik
step 7/7 "metrics, and waiting until all is ready"
ensure_metrics
write_env
step "done" "the cluster is up; for your shell: . ${RESULT#"$PWD"/}/env"
