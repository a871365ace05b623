#!/bin/bash
# server.sh NAME: prints the path of a server's program that tests run by themselves, made once into the
# cluster's cache. NAME: registry, crane, versitygw, fake-gcs-server, azurite.
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/cluster/parts.sh
. "$CLUSTER_DIR/parts.sh"

# Azure's own server of blobs, with what it needs.
make_azurite() {
  npm install --prefix . --omit=dev --no-audit --no-fund "azurite@$AZURITE_VERSION"
  ln -s node_modules/.bin/azurite-blob azurite
}

make_server() {
  lock
  case $1 in
    registry) part_of_module "$1" "$REGISTRY_VERSION" github.com/distribution/distribution/v3/cmd/registry ;;
    crane) part_of_module "$1" "$CRANE_VERSION" github.com/google/go-containerregistry/cmd/crane ;;
    versitygw) part_of_module "$1" "$VERSITYGW_VERSION" github.com/versity/versitygw/cmd/versitygw ;;
    fake-gcs-server) part_of_module "$1" "$FAKE_GCS_SERVER_VERSION" github.com/fsouza/fake-gcs-server ;;
    azurite)
      need npm:npm
      part "$1" "$AZURITE_VERSION" "1 minute" make_azurite
      ;;
    *) die "no server is named $1" ;;
  esac
}

# part_of_module NAME VERSION PACKAGE
part_of_module() {
  [ -d "$CACHE/parts/$1-$2" ] || need_go
  part "$1" "$2" "1 to 4 minutes" go_install "" "$3@v$2"
}

make_server "$1" >&2
echo "$part/$1"
