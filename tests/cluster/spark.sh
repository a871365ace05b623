#!/bin/bash
# Builds the base image of SparkPython drivers unless it exists, and pushes it to the local cluster's registry.
# .cluster/spark.env names the image. If SPARK_BASE_IMAGE is set, this image is used instead.
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for file in parts images cluster; do
  # shellcheck source=/dev/null
  . "$CLUSTER_DIR/$file.sh"
done

mkdir -p "$RESULT"
if [ -z "${SPARK_BASE_IMAGE:-}" ]; then
  lock
  ensure_spark_image
  SPARK_BASE_IMAGE=$REGISTRY/modelyard/spark:$SPARK_VERSION
  push "$spark_image" "$SPARK_BASE_IMAGE"
fi
echo "export SPARK_BASE_IMAGE=$SPARK_BASE_IMAGE" >"$RESULT/spark.env"
echo "spark: $SPARK_BASE_IMAGE"
