#!/usr/bin/env bash
# Installs the chart, or upgrades it, into the cluster of KUBECONFIG with the image that image.sh has pushed.
# Arguments such as --set workers=4 go to helm. Environment, as `make cluster` writes it to .cluster/env:
#   REGISTRY_PUSH, REGISTRY_INTERNAL  the registry as the engine and nodes, and as pods see it
#   REGISTRY_SCHEME                   http or https
#   HTTPS_GATEWAY                     namespace/name of the Gateway of public URLs, which values of routing switch on
#   PYTHON_BASE_IMAGE                 base image of Python 3.11 for users' images; Docker Hub's by default
# The namespace gets the Pod Security level `restricted`, which all pods of the release meet.
# Builds get this machine's CA bundle and pip settings, since they need the same to reach package indexes.
set -euo pipefail
# shellcheck source=charts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_variables KUBECONFIG REGISTRY_PUSH
[ -e "$IMAGE_FILE" ] || die "there is no image yet: run \`make image\`"

namespace=modelyard-system
image=$(<"$IMAGE_FILE")

values() {
  cat <<YAML
image:
  repository: ${image%:*}
  tag: ${image##*:}
registry:
  push: $REGISTRY_PUSH
  internal: ${REGISTRY_INTERNAL:-$REGISTRY_PUSH}
  insecure: $([ "${REGISTRY_SCHEME:-https}" = http ] && echo true || echo false)
build:
  docker:
    network: host
  pip:
    secretName: build-pip
YAML
  [ -z "${PYTHON_BASE_IMAGE:-}" ] || echo "  baseImages: {'3.11': '$PYTHON_BASE_IMAGE', '3.12': null}"
  [ -z "${HTTPS_GATEWAY:-}" ] || echo "routing: {gateway: {namespace: ${HTTPS_GATEWAY%/*}, name: ${HTTPS_GATEWAY#*/}}}"
  [ -z "$(host_ca_bundle)" ] || echo "caBundle: {configMapName: build-ca}"
}

apply() {
  kubectl --namespace "$namespace" create "$@" --dry-run=client --output yaml |
    kubectl apply --server-side --field-manager modelyard-install --filename - >/dev/null
}

apply namespace "$namespace"
kubectl label namespace "$namespace" --overwrite pod-security.kubernetes.io/enforce=restricted >/dev/null
apply secret generic build-pip --from-file=pip.conf=<(host_pip_conf)
[ -z "$(host_ca_bundle)" ] || apply configmap build-ca --from-file=ca.crt="$(host_ca_bundle)"

# With one call at a time, a pending release is one that was interrupted. helm would refuse every later call.
exec 9>build/install.lock
flock 9
kubectl --namespace "$namespace" delete secret >/dev/null 2>&1 \
  --selector 'owner=helm,name=modelyard,status in (pending-install,pending-upgrade,pending-rollback)'
# The chart takes over CRDs of another owner, such as those that tests apply without the chart.
helm upgrade --install modelyard charts/modelyard --namespace "$namespace" --values <(values) \
  --take-ownership --force-conflicts --wait --timeout 5m "$@"
