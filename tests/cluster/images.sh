# shellcheck shell=bash
# Container images without a builder: tar files with a manifest, for "docker load" and
# "ctr images import". The tag of an image contains its key, a hash of its sources, so
# that an existing image with the tag is up to date.

# add_image FOLDER REFERENCE CONFIG LAYER.tar...: adds an image to the folder of an archive.
# CONFIG is the "config" of an image in JSON. Images may share layers.
add_image() {
  local folder=$1 reference=$2 config=$3 layers=() layer id
  shift 3
  mkdir -p "$folder"
  for layer in "$@"; do
    id=$(sha256sum "$layer" | cut -d' ' -f1)
    ln -f "$layer" "$folder/$id.tar"
    layers+=("$id")
  done
  jq --null-input --compact-output --arg arch "$(arch)" --argjson config "$config" \
    '{architecture: $arch, os: "linux", config: $config,
      rootfs: {type: "layers", diff_ids: [$ARGS.positional[] | "sha256:" + .]}}' \
    --args "${layers[@]}" >"$folder/config"
  id=$(sha256sum "$folder/config" | cut -d' ' -f1)
  mv "$folder/config" "$folder/$id.json"
  [ -e "$folder/manifest.json" ] || echo '[]' >"$folder/manifest.json"
  jq --compact-output --arg config "$id.json" --arg reference "$reference" \
    '. + [{Config: $config, RepoTags: [$reference], Layers: [$ARGS.positional[] + ".tar"]}]' \
    --args "${layers[@]}" <"$folder/manifest.json" >"$folder/manifest"
  mv "$folder/manifest" "$folder/manifest.json"
}

# layer_of FOLDER FILE.tar: a layer that is the same whenever its files are
layer_of() {
  tar --create --file "$2" --directory "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
}

# program_image REFERENCE PROGRAM ENTRYPOINT [FILE PATH]: makes an image of one static program in the folder image,
# with one more file if FILE is set
program_image() {
  mkdir -p root/tmp
  install -m 755 "$2" root/
  [ $# -lt 5 ] || install -D -m 644 "$4" "root$5"
  layer_of root layer.tar
  add_image image "$1" "{\"Entrypoint\": $3}" layer.tar
}

# load_program REFERENCE PROGRAM ENTRYPOINT [FILE PATH]: loads such an image into the engine
load_program() {
  program_image "$@"
  tar --create --directory image . | docker load
}

has_image() {
  docker image inspect "$1" >/dev/null 2>&1
}

# make_image VARIABLE NAME KEY HINT COMMAND...: sets VARIABLE to the image modelyard/NAME:KEY. Unless the
# engine has the image, it runs COMMAND REFERENCE in an empty folder to make it.
make_image() {
  local image_name=$2 reference=modelyard/$2:$3 image_hint=$4 folder=$CACHE/images/$2
  printf -v "$1" %s "$reference"
  shift 4
  has_image "$reference" && return
  note "making image $reference${image_hint:+ ($image_hint)}"
  rm -rf "$folder" && mkdir -p "$folder"
  logged "image-$image_name" in_folder "$folder" "$@" "$reference"
  rm -rf "$folder"
  # Remove older images that no container uses.
  docker image ls --format '{{.Repository}}:{{.Tag}}' "modelyard/$image_name" | grep -vxF "$reference" | xargs -r docker image rm >/dev/null 2>&1 || true
}

pull() {
  docker pull --quiet "$1"
  docker tag "$1" "$2"
}

# Sets registry_image.
ensure_registry_image() {
  if takes_published; then
    make_image registry_image registry "$REGISTRY_VERSION-hub" "" pull "$REGISTRY_IMAGE"
  else
    make_part registry_part registry "$REGISTRY_VERSION" "2 minutes" go_install "" "github.com/distribution/distribution/v3/cmd/registry@v$REGISTRY_VERSION"
    make_image registry_image registry "$REGISTRY_VERSION-$(key "$CLUSTER_DIR/registry.yaml")" "" registry_from_parts
  fi
}

registry_from_parts() {
  load_program "$1" "$registry_part/registry" \
    '["/registry", "serve", "/etc/distribution/config.yml"]' "$CLUSTER_DIR/registry.yaml" /etc/distribution/config.yml
}

# Sets metrics_server_image.
ensure_metrics_server_image() {
  if takes_published; then
    local pin
    pin=METRICS_SERVER_IMAGE_$(arch)
    make_image metrics_server_image metrics-server "$METRICS_SERVER_VERSION-hub" "" pull "${!pin}"
  else
    make_part metrics_server_part metrics-server "$METRICS_SERVER_VERSION" "3 minutes" go_install "" "sigs.k8s.io/metrics-server/cmd/metrics-server@v$METRICS_SERVER_VERSION"
    make_image metrics_server_image metrics-server "$METRICS_SERVER_VERSION" "" metrics_server_from_parts
  fi
}

metrics_server_from_parts() {
  load_program "$1" "$metrics_server_part/metrics-server" '["/metrics-server"]'
}

# Sets python_image, the base image of Python services: like Docker Hub's python:*-slim, with Debian's own Python.
ensure_python_image() {
  if takes_published; then
    make_image python_image python "$PYTHON_VERSION-hub" "" pull "$PYTHON_IMAGE"
  else
    need mmdebstrap:mmdebstrap jq:jq
    make_image python_image python "$PYTHON_VERSION-$(key "$(declare -f python_from_packages python_system debian)" "$DEBIAN_SUITE")" "1 minute" python_from_packages
  fi
}

python_from_packages() {
  python_system layer.tar
  add_image image "$1" "$PYTHON_CONFIG" layer.tar
  tar --create --directory image . | docker load
}

PYTHON_CONFIG='{"Cmd": ["python3"], "Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", "LANG=C.UTF-8"]}'

# python_system FILE.tar [PACKAGES [OPTION...]]: makes a root file system with Python and further packages
python_system() {
  # pip may install packages in addition to those of Debian, as in the image of Docker Hub.
  # shellcheck disable=SC2016 # the hooks' own "$1": the new root folder
  debian minbase "python3,python3-pip,python3-venv,ca-certificates${2:+,$2}" "$1" \
    --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
    --customize-hook='ln -s ../../bin/python3 "$1/usr/local/bin/python"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "${@:3}"
}

# Sets spark_image, the base image of SparkPython drivers: Java and pyspark. Only tests of Spark need its 1 GB.
ensure_spark_image() {
  need mmdebstrap:mmdebstrap jq:jq
  make_image spark_image spark "$SPARK_VERSION-$(key "$(declare -f spark_from_packages python_system debian)" "$DEBIAN_SUITE" "$SPARK_VERSION")" "2 minutes" spark_from_packages
}

spark_from_packages() {
  # Java's packages need a folder for manuals. Spark needs a user name for the user ID of scoring containers.
  # shellcheck disable=SC2016 # the hooks' own "$1": the new root folder
  python_system layer.tar openjdk-17-jre-headless --essential-hook='mkdir -p "$1/usr/share/man/man1"' \
    --customize-hook='chroot "$1" useradd --uid 10001 --no-create-home spark'
  "${UV:-uv}" pip install --quiet --python-version "$PYTHON_VERSION" --no-compile-bytecode \
    --target "root/usr/local/lib/python$PYTHON_VERSION/dist-packages" --require-hashes \
    --build-constraints "$CLUSTER_DIR/spark/build-requirements.txt" --requirement "$CLUSTER_DIR/spark/requirements.txt"
  layer_of root pyspark.tar
  add_image image "$1" "$PYTHON_CONFIG" layer.tar pyspark.tar
  tar --create --directory image . | docker load
}

# Sets compiler_image, for tests of source distributions: python_image, which it sets, too, with gcc in a layer of its own.
ensure_compiler_image() {
  ensure_python_image
  need mmdebstrap:mmdebstrap
  make_image compiler_image compiler "$PYTHON_VERSION-$(key "$(declare -f compiler_from_packages debian)" "$python_image" "$DEBIAN_SUITE")" "30 seconds" compiler_from_packages "$python_image"
}

# compiler_from_packages BASE REFERENCE: only extracts the packages, because a compiler needs no configuration. Link-time
# optimization and sanitizers are two thirds of gcc, and no package is compiled with them.
compiler_from_packages() {
  debian extract "gcc,libc6-dev,libpython$PYTHON_VERSION-dev" root --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr
  mkdir --parents layer/usr/lib layer/usr/bin
  mv root/usr/include layer/usr/
  mv root/usr/bin layer/usr/
  mv root/usr/lib/gcc "root/usr/lib/$(uname -m)-linux-gnu" layer/usr/lib/
  rm layer/usr/lib/gcc/*/*/{lto1,lib*san*.a}
  layer_of layer layer.tar
  printf 'FROM %s\nADD layer.tar /\n' "$1" >Dockerfile
  docker build --tag "$2" .
}

# debian VARIANT PACKAGES FILE.tar [OPTION...]: makes a root file system from Debian packages.
# DEBIAN_MIRROR is their mirror; the default is deb.debian.org.
debian() {
  mmdebstrap --variant="$1" --include="$2" "${@:4}" "$DEBIAN_SUITE" "$3" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
}
