#!/usr/bin/env bash
# Builds the image of operator and builder, and pushes it to REGISTRY_PUSH. Environment: REGISTRY_PUSH,
# PYTHON_BASE_IMAGE (the Dockerfile's default without it), UV (uv's command).
set -euo pipefail
# shellcheck source=charts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_variables REGISTRY_PUSH
UV=${UV:-uv}
BASE_IMAGE=${PYTHON_BASE_IMAGE:-$(sed -n "s/^ARG BASE_IMAGE=//p" operator/Dockerfile)}
LOG=build/image.log

# A context of its own: only what the image is made of, and its hash names the image.
mkdir -p build
CONTEXT=$(mktemp -d build/image.XXXXXX)
trap 'rm -rf "$CONTEXT"' EXIT
mkdir "$CONTEXT/wheel"
$UV export --quiet --frozen --all-extras --no-dev --no-emit-project --no-header --no-annotate >"$CONTEXT/requirements.txt"
$UV build --quiet --wheel --out-dir "$CONTEXT/wheel"
rm -f "$CONTEXT/wheel/.gitignore"
cp operator/Dockerfile "$CONTEXT/"

docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || docker pull --quiet "$BASE_IMAGE" >/dev/null
hash=$({
  docker image inspect --format '{{.Id}}' "$BASE_IMAGE"
  cd "$CONTEXT" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
} | sha256sum | cut -c1-12)
image=$REGISTRY_PUSH/modelyard/modelyard:$($UV version --short)-$hash

# After the hash: the settings of this machine are no part of the image.
mkdir "$CONTEXT/host"
ca=$(host_ca_bundle)
cat "${ca:-/dev/null}" >"$CONTEXT/host/ca.crt"
host_pip_conf >"$CONTEXT/host/pip.conf"

if ! docker image inspect "$image" >/dev/null 2>&1; then
  echo "image: building $image (1 minute the first time), log in $LOG"
  # The classic builder does where there is no BuildKit.
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  # On the host's network: a proxy on this machine is at the same address. The proxies' variables are predefined
  # arguments, which leave no trace in the image.
  docker build --network host --build-arg "BASE_IMAGE=$BASE_IMAGE" \
    --build-arg HTTP_PROXY --build-arg HTTPS_PROXY --build-arg NO_PROXY \
    --tag "$image" "$CONTEXT" >"$LOG" 2>&1 || {
    tail -n 20 "$LOG" >&2
    die "the build has failed, see $LOG"
  }
fi
docker push --quiet "$image" >/dev/null
echo "$image" >"$IMAGE_FILE"
echo "image: $image"
