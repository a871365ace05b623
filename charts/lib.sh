# shellcheck shell=bash
# Shared by image.sh and install.sh: the cluster, and the settings of this machine that builds need.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# Without variables of the caller: the cluster of `make cluster`.
if [ -z "${REGISTRY_PUSH:-}" ] && [ -e .cluster/env ]; then
  # shellcheck source=/dev/null
  . .cluster/env
fi

# shellcheck disable=SC2034
IMAGE_FILE=${IMAGE_FILE:-build/operator-image} # where image.sh leaves the image's name for install.sh

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# need_variables NAME...
need_variables() {
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || die "$name is not set: run \`make cluster\`, or set it (charts/modelyard/README.md)"
  done
}

# host_ca_bundle: the CA bundle that this machine uses in place of its own, if any
host_ca_bundle() {
  local file
  for file in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}"; do
    if [ -s "$file" ]; then
      echo "$file"
      return
    fi
  done
}

# host_pip_conf: pip's settings on this machine as a pip.conf, without those that name paths
host_pip_conf() {
  echo "[global]"
  PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip config list 2>/dev/null |
    sed -n "s/^[^.]*\.\(index-url\|extra-index-url\|trusted-host\|proxy\|timeout\|default-timeout\|retries\)=['\"]\(.*\)['\"]$/\1 = \2/p" |
    sed 's/\\n/ /g' || true
}
