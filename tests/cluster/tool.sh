#!/bin/bash
# tool.sh NAME: prints the path of a program that only some tests run, and builds it on first use.
# NAME: cosign; crane (another registry, and a client); registry; azurite, fake-gcs-server, versitygw (stores);
# kafka (a broker, which needs Java 17);
# buildctl, buildkitd (another builder); health (computes the health of objects like GitOps tools);
# argo-diff (compares objects with their manifests like Argo CD);
# source-controller, kustomize-controller (Flux; the folder crds beside the programs has Flux's CRDs);
# argocd-application-controller, argocd-repo-server, argocd-redis (Argo CD, with a folder crds like Flux);
# prometheus, promtool; prometheus-operator-crds (a folder).
set -euo pipefail

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/cluster/parts.sh
. "$CLUSTER_DIR/parts.sh"

# from_module NAME VERSION PACKAGE: always builds, because programs are not published for each architecture
from_module() {
  [ -d "$CACHE/parts/$1-$2" ] || need_go
  make_part tool_part "$1" "$2" "1 to 4 minutes" go_install "" "$3@v$2"
}

exec 3>&1 >&2
lock
case ${1:-} in
  cosign) make_part tool_part cosign "$COSIGN_VERSION" "5 minutes where it must be built" make_cosign ;;
  registry) from_module registry "$REGISTRY_VERSION" github.com/distribution/distribution/v3/cmd/registry ;;
  crane) from_module crane "$CRANE_VERSION" github.com/google/go-containerregistry/cmd/crane ;;
  buildctl | buildkitd)
    need_go
    make_part tool_part buildkit "$BUILDKIT_VERSION" "3 minutes" make_buildkit
    ;;
  versitygw) from_module versitygw "$VERSITYGW_VERSION" github.com/versity/versitygw/cmd/versitygw ;;
  fake-gcs-server) from_module fake-gcs-server "$FAKE_GCS_SERVER_VERSION" github.com/fsouza/fake-gcs-server ;;
  health)
    need_go
    make_part tool_part health "$(key "$CLUSTER_DIR/health")" "1 minute" go_build health ""
    ;;
  argo-diff)
    need_go
    make_part tool_part argo-diff "$(key "$CLUSTER_DIR/argo-diff")" "2 to 4 minutes" go_build argo-diff ""
    ;;
  source-controller | kustomize-controller)
    need_go
    need jq:jq
    make_part tool_part flux "$FLUX_VERSION" "7 minutes" make_flux
    ;;
  argocd-application-controller | argocd-repo-server | argocd-redis)
    need_go
    need jq:jq
    make_part tool_part argocd "$(key "$ARGOCD_VERSION" "$CLUSTER_DIR/argocd")" "8 minutes" make_argocd
    ;;
  prometheus | promtool)
    need_go
    make_part tool_part prometheus "$PROMETHEUS_VERSION" "3 minutes" make_prometheus
    ;;
  prometheus-operator-crds)
    need_go
    need jq:jq
    make_part tool_part prometheus-operator "$PROMETHEUS_OPERATOR_VERSION" "1 minute" make_prometheus_operator_crds
    ;;
  azurite)
    need npm:npm
    make_part tool_part azurite "$AZURITE_VERSION" "1 minute" make_azurite
    ;;
  kafka)
    need curl:curl java:openjdk-17-jre-headless
    make_part tool_part kafka "$(key "$CLUSTER_DIR"/kafka/{jars.sha256,kafka})" "1 minute" make_kafka
    ;;
  *) die "unknown program '${1:-}': see the names at the top of tests/cluster/tool.sh" ;;
esac
echo "$tool_part/$1" >&3
