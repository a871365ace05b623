#!/usr/bin/env bash
# Removes the release and the namespace that install.sh has made. CRDs and the objects of users stay (crds.keep).
set -euo pipefail
# shellcheck source=charts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_variables KUBECONFIG

namespace=modelyard-system
helm uninstall modelyard --namespace "$namespace" --ignore-not-found --wait --timeout 2m
kubectl delete namespace "$namespace" --ignore-not-found
