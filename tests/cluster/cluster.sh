# shellcheck shell=bash
# The kind cluster, its registry and its metrics.

# A cluster is used only if it answers and its nodes are ready: after a restart of the
# engine its containers may be stopped, or run without working.
cluster_answers() {
  [ "$(docker inspect --format '{{.State.Running}}' "$NODE_CONTAINER" 2>/dev/null)" = true ] &&
    retry 30 node_kubectl get --raw /readyz &&
    node_kubectl wait --for condition=Ready nodes --all --timeout 60s >/dev/null 2>&1
}

# The kubectl of the control plane needs no files of this checkout.
node_kubectl() {
  docker exec "$NODE_CONTAINER" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"
}

node_containers() {
  docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME" --format '{{.Names}}'
}

ensure_cluster() {
  if cluster_answers; then
    if [ -z "${NODES:-}" ] || [ "$NODES" = "$(node_containers | wc -l)" ]; then
      return
    fi
    note "the running cluster has $(node_containers | wc -l) nodes, NODES=$NODES is set: replacing it"
  fi
  local node_image
  ensure_node_image
  if [ -n "$(node_containers)" ]; then
    note "removing the existing nodes"
    logged kind-delete run_kind delete cluster --name "$CLUSTER_NAME" --kubeconfig "$RESULT/kubeconfig"
  fi
  note "creating ${NODES:-1} node(s) of $node_image"
  kind_config "$node_image" "${NODES:-1}" >"$CACHE/kind.yaml"
  logged kind-create run_kind create cluster --name "$CLUSTER_NAME" --config "$CACHE/kind.yaml" --kubeconfig "$RESULT/kubeconfig" --wait 180s
}

# Sets node_image to kind's published node image, or to one built from parts (offline/).
ensure_node_image() {
  if ! takes_published; then
    build_node_image
    return
  fi
  node_image=$KIND_NODE_IMAGE
  has_image "$node_image" || {
    note "pulling $node_image"
    logged image-node docker pull "$node_image"
  }
}

# kind_config IMAGE NODES
kind_config() {
  local role=control-plane i
  local settings=()
  [ -z "${LONGEST_RESTART_SECONDS:-}" ] ||
    settings=(--expression "/failCgroupV1/a \\    crashLoopBackOff: {maxContainerRestartPeriod: ${LONGEST_RESTART_SECONDS}s}")
  sed --expression '' "${settings[@]}" "$CLUSTER_DIR/kind.yaml"
  echo "nodes:"
  for ((i = 0; i < $2; i++)); do
    # Build jobs reach the engine through a hostPath of this socket.
    printf '  - role: %s\n    image: %s\n    extraMounts:\n      - hostPath: %s\n        containerPath: /var/run/docker.sock\n' \
      $role "$1" "${DOCKER_HOST#unix://}"
    if [ $role = control-plane ] && [ -n "$HTTPS_PORT" ]; then
      printf '    extraPortMappings:\n      - listenAddress: 127.0.0.1\n        hostPort: %s\n        containerPort: %s\n' "$HTTPS_PORT" "$HTTPS_PORT"
    fi
    role=worker
  done
}

ensure_registry() {
  case $(docker inspect --format '{{.State.Running}}' "$REGISTRY_CONTAINER" 2>/dev/null) in
    true) ;;
    false) logged registry docker start "$REGISTRY_CONTAINER" ;;
    *)
      local registry_image
      ensure_registry_image
      # Tests delete images, so deletion is on. Traces are off, because there is no collector.
      logged registry docker run --detach --name "$REGISTRY_CONTAINER" --restart always --network kind \
        --publish "127.0.0.1:${REGISTRY##*:}:5000" \
        --env REGISTRY_STORAGE_DELETE_ENABLED=true --env OTEL_TRACES_EXPORTER=none "$registry_image"
      ;;
  esac
  retry 30 curl --fail --silent "http://$REGISTRY/v2/" || die "the registry does not answer at $REGISTRY; see: docker logs $REGISTRY_CONTAINER"
  # Images have the same name for the engine on the host and for containerd on each node.
  local node name
  for node in $(node_containers); do
    for name in "$REGISTRY" "$REGISTRY_CONTAINER:5000"; do
      docker exec --interactive "$node" sh -c "mkdir -p '/etc/containerd/certs.d/$name' && cat >'/etc/containerd/certs.d/$name/hosts.toml'" \
        <<<"[host.\"http://$REGISTRY_CONTAINER:5000\"]"
    done
  done
}

# push IMAGE REFERENCE
push() {
  docker tag "$1" "$2"
  logged push docker push "$2"
}

ensure_base_images() {
  local metrics_server_image python_image
  ensure_metrics_server_image
  push "$metrics_server_image" "$REGISTRY/modelyard/metrics-server:$METRICS_SERVER_VERSION"
  ensure_python_image
  push "$python_image" "$PUSHED_PYTHON_IMAGE"
}

ensure_metrics() {
  sed "s#@IMAGE@#$REGISTRY/modelyard/metrics-server:$METRICS_SERVER_VERSION#" "$CLUSTER_DIR/metrics-server.yaml" |
    logged metrics-server kubectl apply --filename -
  logged ready wait_until_ready
}

wait_until_ready() {
  kubectl wait --for condition=Ready nodes --all --timeout 120s
  kubectl --namespace kube-system rollout status deployment/coredns --timeout 120s
  [ -z "$HTTPS_PORT" ] || kubectl --namespace traefik rollout status deployment/traefik --timeout 120s
  # After a restart of the engine an old state Ready may be wrong, but metrics are always new.
  retry 180 kubectl top nodes
}
