#!/usr/bin/env bash
# Builds the image of operator and builder, and pushes it to REGISTRY_PUSH. Environment: REGISTRY_PUSH,
# PYTHON_BASE_IMAGE (the Dockerfile's default without it), UV (uv's command).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_variables REGISTRY_PUSH
UV=${UV:-uv}
BASE_IMAGE=${PYTHON_BASE_IMAGE:-python:3.11-slim}
CONTEXT=build/image

# A context of its own: only what the image is made of, and its hash names the image.
rm -rf "$CONTEXT"
mkdir -p "$CONTEXT/wheel"
$UV export --quiet --frozen --no-dev --no-emit-project --no-header --no-annotate >"$CONTEXT/requirements.txt"
$UV build --quiet --wheel --out-dir "$CONTEXT/wheel"
rm -f "$CONTEXT/wheel/.gitignore"
cp operator/Dockerfile "$CONTEXT/"

version=$($UV version --short)
content=$( (cd "$CONTEXT" && find . -type f -print0 | sort -z | xargs -0 sha256sum; echo "$BASE_IMAGE") | sha256sum | cut -c1-12)
image=$REGISTRY_PUSH/modelyard/modelyard:$version-$content

# After the hash: settings of this machine do not change what the image is.
mkdir "$CONTEXT/host"
cat "$(host_ca_bundle || true)" >"$CONTEXT/host/ca.crt" 2>/dev/null || true
host_pip_conf >"$CONTEXT/host/pip.conf"

if ! docker image inspect "$image" >/dev/null 2>&1; then
  # The classic builder does where there is no BuildKit.
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  # On the host's network: a proxy on this machine is at the same address. The proxies' variables are predefined
  # arguments, which leave no trace in the image.
  docker build --network host --build-arg "BASE_IMAGE=$BASE_IMAGE" \
    --build-arg HTTP_PROXY --build-arg HTTPS_PROXY --build-arg NO_PROXY \
    --tag "$image" "$CONTEXT"
fi
docker push --quiet "$image" >/dev/null
echo "$image" >"$IMAGE_FILE"
echo "image: $image"
