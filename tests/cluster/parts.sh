# shellcheck shell=bash
# Programs, downloaded if their hosts answer, or built from their Go modules. pins.env has the checksum of each download,
# and Go's checksum database that of each module.

export GOSUMDB=sum.golang.org GOPRIVATE='' GONOSUMDB='' GOINSECURE=''

# takes_published: succeeds if published images and programs are used, and not built ones
takes_published() {
  choose_images
  [ "$CLUSTER_IMAGES" = published ]
}

# Sets CLUSTER_IMAGES, unless the caller has set it, to the value of the running cluster. Without a cluster,
# published images are used if their hosts answer.
choose_images() {
  CLUSTER_IMAGES=${CLUSTER_IMAGES:-$(images_of_cluster)}
  if [ -z "$CLUSTER_IMAGES" ]; then
    CLUSTER_IMAGES=published
    local url
    for url in https://registry-1.docker.io/v2/ https://registry.k8s.io/v2/ https://dl.k8s.io/; do
      curl --silent --max-time 4 --output /dev/null "$url" || CLUSTER_IMAGES=built
    done
    [ $CLUSTER_IMAGES = published ] || note "Docker Hub or registry.k8s.io does not answer: building from Go modules and Debian packages"
  fi
}

# images_of_cluster: prints published, built, or nothing if there is no cluster
images_of_cluster() {
  case $(docker inspect --format '{{.Config.Image}}' "$NODE_CONTAINER" 2>/dev/null) in
    modelyard/*) echo built ;;
    ?*) echo published ;;
  esac
}

# key FILE|TEXT...: prints a short hash of texts and of the contents of files and folders
key() {
  local item
  for item in "$@"; do
    if [ -e "$item" ]; then
      find "$item" -type f -print0 | sort -z | xargs -0 cat
    else
      echo "$item"
    fi
  done | sha256sum | cut -c1-12
}

# make_part VARIABLE NAME KEY HINT COMMAND...: sets VARIABLE to the folder of a part. Unless the folder exists,
# it runs COMMAND in an empty folder, and renames the folder if the command succeeds.
make_part() {
  local part_name=$2 part_folder=$CACHE/parts/$2-$3 part_hint=$4
  printf -v "$1" %s "$part_folder"
  shift 4
  [ -d "$part_folder" ] && return
  takes_published || need_go
  note "making $part_name${part_hint:+ ($part_hint)}"
  rm -rf "$CACHE/parts/.$part_name" && mkdir -p "$CACHE/parts/.$part_name"
  logged "$part_name" in_folder "$CACHE/parts/.$part_name" "$@"
  find "$CACHE/parts" -maxdepth 1 -regex ".*/$part_name-[^-]*" -exec rm -rf {} +
  mv "$CACHE/parts/.$part_name" "$part_folder"
}

in_folder() {
  cd "$1" || return
  shift
  "$@"
}

need_go() {
  command -v go >/dev/null || die "the parts of the cluster need Go 1.26 or newer on PATH: install it from https://go.dev/dl."
}

# go_install LDFLAGS PACKAGE...: builds programs of published modules in the current folder
go_install() {
  GOBIN=$PWD CGO_ENABLED=0 go install -trimpath -ldflags "-s -w $1" "${@:2}"
}

# go_build FOLDER LDFLAGS: builds the program of a module below tests/cluster in the current folder
go_build() {
  local out=$PWD
  cd "$CLUSTER_DIR/$1" || return
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w $2" -o "$out/${1##*/}" .
}

k8s_key() {
  key "$CLUSTER_DIR/offline/k8s" "$KUBERNETES_VERSION"
}

part_k8s() {
  make_part k8s_part k8s "$(k8s_key)" "Kubernetes $KUBERNETES_VERSION, 6 to 15 minutes" make_k8s
}

make_k8s() {
  local flags="" package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=v$KUBERNETES_VERSION -X $package.gitTreeState=clean"
    flags+=" -X $package.gitMajor=$(cut -d. -f1 <<<"$KUBERNETES_VERSION") -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")"
  done
  go_build offline/k8s "$flags"
}

make_kind() {
  if takes_published; then
    download "https://github.com/kubernetes-sigs/kind/releases/download/v$KIND_VERSION/kind-linux-$(arch)" kind "$(checksum KIND)"
    chmod +x kind
  else
    go_install "" "sigs.k8s.io/kind@v$KIND_VERSION"
  fi
}

make_helm() {
  if takes_published; then
    download "https://get.helm.sh/helm-v$HELM_PUBLISHED_VERSION-linux-$(arch).tar.gz" helm.tar.gz "$(checksum HELM)"
    tar --extract --gzip --file helm.tar.gz --strip-components 1 "linux-$(arch)/helm"
    rm helm.tar.gz
  else
    go_install "-X helm.sh/helm/v4/internal/version.version=v$HELM_VERSION" "helm.sh/helm/v4/cmd/helm@v$HELM_VERSION"
  fi
}

make_kubectl() {
  download "https://dl.k8s.io/release/v$KUBECTL_PUBLISHED_VERSION/bin/linux/$(arch)/kubectl" kubectl "$(checksum KUBECTL)"
  chmod +x kubectl
}

make_cosign() {
  if takes_published; then
    download "https://github.com/sigstore/cosign/releases/download/v$COSIGN_VERSION/cosign-linux-$(arch)" cosign "$(checksum COSIGN)"
    chmod +x cosign
  else
    go_install "" "github.com/sigstore/cosign/v3/cmd/cosign@v$COSIGN_VERSION"
  fi
}

# A new module requires the program, because go install rejects modules that exclude versions of others.
make_buildkit() {
  go mod init buildkit
  go get "github.com/moby/buildkit/cmd/buildctl@v$BUILDKIT_VERSION" "github.com/moby/buildkit/cmd/buildkitd@v$BUILDKIT_VERSION"
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o . github.com/moby/buildkit/cmd/buildctl github.com/moby/buildkit/cmd/buildkitd
}

# Flux's controllers and their CRDs. Each is built in a copy of its module, because go install rejects a module that
# replaces another one: here its own API types, which the published module has in another folder.
make_flux() {
  local name module
  mkdir crds
  for name in source kustomize; do
    module=github.com/fluxcd/$name-controller
    cp --recursive --no-preserve=mode "$(go mod download -json "$module@v$FLUX_VERSION" | jq --raw-output .Dir)" "$name"
    cp "$name"/config/crd/bases/*.yaml crds/
    (
      cd "$name" || exit
      go mod edit -dropreplace "$module/api" -require "$module/api@v$FLUX_VERSION"
      CGO_ENABLED=0 go build -mod=mod -trimpath -buildvcs=false -ldflags "-s -w" -o "../$name-controller" .
    )
    rm -rf "$name"
  done
}

# Argo CD's controller, repository server and CRDs, and a Redis in memory. They are built in a copy of Argo CD's module,
# because it replaces modules and its go.sum has the checksums of all others.
make_argocd() {
  local module=github.com/argoproj/argo-cd/v3 name
  cp --recursive --no-preserve=mode "$(go mod download -json "$module@v$ARGOCD_VERSION" | jq --raw-output .Dir)" source
  mkdir crds source/cmd/test
  cp source/manifests/crds/*-crd.yaml crds/
  cp "$CLUSTER_DIR/argocd/main.go" source/cmd/test/
  (cd source && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o ../argocd-redis ./cmd/test)
  for name in application-controller repo-server; do
    ln -s argocd-redis "argocd-$name"
  done
  rm -rf source
}

# Of all service discoveries only that of Kubernetes, which the package of Debian lacks.
make_prometheus() {
  local module=github.com/prometheus/prometheus
  GOFLAGS=-tags=remove_all_sd,enable_kubernetes_sd \
    go_install "" "$module/cmd/prometheus@v$PROMETHEUS_VERSION" "$module/cmd/promtool@v$PROMETHEUS_VERSION"
}

# The CRDs of the Prometheus operator, which its module contains.
make_prometheus_operator_crds() {
  local module=github.com/prometheus-operator/prometheus-operator
  cp --recursive --no-preserve=mode \
    "$(go mod download -json "$module@v$PROMETHEUS_OPERATOR_VERSION" | jq --raw-output .Dir)/example/prometheus-operator-crd" \
    prometheus-operator-crds
}

# Azure's blob server with its dependencies, of which azurite/package-lock.json has the checksums.
make_azurite() {
  cp "$CLUSTER_DIR"/azurite/package*.json .
  npm ci --omit=dev --no-audit --no-fund
  ln -s node_modules/.bin/azurite-blob azurite
}

# Kafka's jars, and a launcher of its programs.
make_kafka() {
  local sum path
  while read -r sum path; do
    download "https://repo1.maven.org/maven2/$path" "${path##*/}" "$sum"
  done <"$CLUSTER_DIR/kafka/jars.sha256"
  cp "$CLUSTER_DIR/kafka/kafka" .
}

# arch: prints the architecture of this machine with the name that Go and Debian use
arch() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) die "no known name for the processor $(uname -m)" ;;
  esac
}

# checksum NAME: prints the SHA-256 in pins.env of a published program for this machine
checksum() {
  local pin
  pin=$1_SHA256_$(arch)
  echo "${!pin:?pins.env has no $pin}"
}

# download URL FILE SHA256: removes the file and fails if it has another checksum
download() {
  curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
  sha256sum --check --status <<<"$3  $2" || {
    rm -f "$2"
    die "$1 does not have the SHA-256 $3 of its pin"
  }
}

# link_tool NAME PROGRAM: creates a link by a rename, because the old program may be running
link_tool() {
  mkdir -p "$CACHE/bin"
  ln -sf "$2" "$CACHE/bin/.$1"
  mv -T "$CACHE/bin/.$1" "$CACHE/bin/$1"
}

# kind, helm and kubectl below $CACHE/bin, a path that does not depend on versions
ensure_tools() {
  local k8s_part kind_part helm_part kubectl_part
  need curl:curl
  make_part kind_part kind "$KIND_VERSION" "2 minutes where it must be built" make_kind
  link_tool kind "$kind_part/kind"
  if takes_published; then
    make_part helm_part helm "$HELM_PUBLISHED_VERSION" "" make_helm
  else
    make_part helm_part helm "$HELM_VERSION" "3 minutes" make_helm
  fi
  link_tool helm "$helm_part/helm"
  if [ -d "$CACHE/parts/k8s-$(k8s_key)" ] || ! takes_published; then
    part_k8s
    link_tool kubectl "$k8s_part/k8s"
  else
    make_part kubectl_part kubectl "$KUBECTL_PUBLISHED_VERSION" "" make_kubectl
    link_tool kubectl "$kubectl_part/kubectl"
  fi
  export PATH=$CACHE/bin:$PATH
}
