#!/bin/bash
# beside.sh COMMAND...: creates a second cluster with the chart, runs the command, and removes the cluster.
# The command gets the second cluster's variables (README.md). Environment:
#   OTHER_CLUSTER        name of the second cluster; default modelyard-second
#   OTHER_REGISTRY_PORT  port of a registry of its own; by default the clusters share one
#   LONGEST_RESTART_SECONDS
#                        wait of the kubelet before it starts a container that ended often; default 300
#   KEEP=1               leaves the cluster for the next call; the same variables and down.sh remove it
set -euo pipefail
export OTHER_CLUSTER=${OTHER_CLUSTER:-modelyard-second}
unset CLUSTER KUBECONFIG REGISTRY_PUSH HTTPS_GATEWAY HTTPS_ADDRESS HTTPS_PORT HTTPS_CA

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

remove_cluster() {
  if [ -n "${KEEP:-}" ]; then
    echo "cluster: $OTHER_CLUSTER stays, because KEEP is set; . $RESULT/env"
  else
    "$CLUSTER_DIR/down.sh"
  fi
}
trap remove_cluster EXIT
"$CLUSTER_DIR/up.sh"
# shellcheck source=/dev/null
. "$RESULT/env"
export IMAGE_FILE=$RESULT/operator-image
"$CHECKOUT/charts/image.sh"
"$CHECKOUT/charts/install.sh" >/dev/null
"$@"
