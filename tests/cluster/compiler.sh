#!/bin/bash
# Prints the name of a base image with a C compiler in the local cluster's registry, and builds it on first use.
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for file in engine parts images cluster; do
  # shellcheck source=/dev/null
  . "$CLUSTER_DIR/$file.sh"
done

exec 3>&1 >&2
lock
ensure_engine
ensure_compiler_image
reference=$REGISTRY/modelyard/compiler:$PYTHON_VERSION
push "$compiler_image" "$reference"
echo "$reference" >&3
