# shellcheck shell=bash
# CLUSTER=existing: checks a cluster and a registry of the user, and changes neither.

use_existing() {
  local name scheme registry=${REGISTRY_PUSH:-}
  [ -n "${KUBECONFIG:-}" ] || die "CLUSTER=existing needs KUBECONFIG, the file of a cluster you may write to."
  [ -n "$registry" ] || die "CLUSTER=existing needs REGISTRY_PUSH, the host and port of a registry you may push to."
  for name in kubectl helm; do
    command -v $name >/dev/null || die "CLUSTER=existing needs $name on PATH."
  done
  kubectl get --raw /readyz --request-timeout 10s >/dev/null 2>&1 || die "the API server of KUBECONFIG=$KUBECONFIG does not answer."
  for scheme in https http none; do
    # Any HTTP status is accepted, because most registries require a login here.
    curl --silent --max-time 10 --output /dev/null "$scheme://$registry/v2/" && break
  done
  [ $scheme != none ] || die "no registry answers at REGISTRY_PUSH=$registry."
  {
    echo "# Written by tests/cluster/up.sh, to be sourced."
    printf 'export %s\n' \
      "CLUSTER_KIND=existing" \
      "KUBECONFIG=$KUBECONFIG" \
      "REGISTRY_PUSH=$registry" \
      "REGISTRY_INTERNAL=${REGISTRY_INTERNAL:-$registry}" \
      "REGISTRY_SCHEME=$scheme" \
      "PYTHON_BASE_IMAGE=${PYTHON_BASE_IMAGE:-$PYTHON_IMAGE}" \
      "DOCKER_HOST=$DOCKER_HOST"
    for name in HTTPS_GATEWAY HTTPS_ADDRESS HTTPS_PORT HTTPS_CA; do
      [ -z "${!name:-}" ] || echo "export $name=${!name}"
    done
  } >"$RESULT/env.new"
  mv "$RESULT/env.new" "$RESULT/env"
  echo "cluster: KUBECONFIG and REGISTRY_PUSH answer; for your shell: . ${RESULT#"$PWD"/}/env"
}
