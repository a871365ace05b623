#!/bin/bash
# A program that only some tests run: makes it if it is not there, and prints its path. tool.sh cosign
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/cluster/parts.sh
. "$CLUSTER_DIR/parts.sh"

exec 3>&1 >&2
lock
case ${1:-} in
  cosign) part cosign "$COSIGN_VERSION" "5 minutes where it must be built" make_cosign ;;
  *) die "there is no program named '${1:-}'" ;;
esac
echo "$part/$1" >&3
