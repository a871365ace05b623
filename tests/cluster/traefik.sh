# shellcheck shell=bash
# Traefik behind an https port of this machine, and the CRDs of the Gateway API.

ensure_traefik() {
  local traefik_part image
  image=modelyard/traefik:$(key "$CLUSTER_DIR/traefik/requirements.txt")
  make_part traefik_part traefik "${image##*:}" "" make_traefik "$image"
  import_image "$image" "$traefik_part/image.tar"
  ensure_gateway_api
  ensure_certificate
  sed "s#@IMAGE@#$image#; s#@PORT@#$HTTPS_PORT#" "$CLUSTER_DIR/traefik/traefik.yaml" |
    logged traefik kubectl apply --filename -
  [ -n "$(docker port "$NODE_CONTAINER" "$HTTPS_PORT" 2>/dev/null)" ] ||
    note "port $HTTPS_PORT of this machine does not lead to the cluster, which is older: make clean, then make cluster"
}

# make_traefik IMAGE
make_traefik() {
  "${UV:-uv}" pip install --quiet --target wheel --no-deps --only-binary :all: --require-hashes \
    --requirement "$CLUSTER_DIR/traefik/requirements.txt"
  program_image "$1" wheel/bin/traefik '["/traefik"]'
  tar --create --directory image --file image.tar .
  rm -rf image layer.tar root wheel
}

# import_image IMAGE ARCHIVE: imports an image into the control plane. A push would take 10 s longer for compression.
import_image() {
  [ -n "$(docker exec "$NODE_CONTAINER" ctr --namespace k8s.io images list --quiet "name==docker.io/$1" 2>/dev/null)" ] ||
    logged import-image docker exec --interactive "$NODE_CONTAINER" ctr --namespace k8s.io images import - <"$2"
}

ensure_gateway_api() {
  local gateway_api_part version
  version=$(kubectl get crd httproutes.gateway.networking.k8s.io --ignore-not-found \
    --output 'jsonpath={.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version}')
  [ "$version" != "v$GATEWAY_API_VERSION" ] || return 0
  need unzip:unzip
  make_part gateway_api_part gateway-api "$GATEWAY_API_VERSION" "" make_gateway_api
  # Client-side apply would need an annotation above the limit of 256 KiB.
  logged gateway-api kubectl apply --server-side --force-conflicts --filename "$gateway_api_part"
  logged gateway-api kubectl wait --for condition=Established --timeout 60s --filename "$gateway_api_part"
}

# The standard channel from the archive of the Go module, which GitHub's releases have too.
make_gateway_api() {
  local proxy=${GOPROXY:-https://proxy.golang.org}
  download "${proxy%%[,|]*}/sigs.k8s.io/gateway-api/@v/v$GATEWAY_API_VERSION.zip" module.zip "$GATEWAY_API_SHA256"
  unzip -q -j module.zip '*/config/crd/standard/gateway.networking.k8s.io_*s.yaml' -x '*_vap_*'
  rm module.zip
}

# The certificate is in the cluster, because all checkouts share the cluster. The CA's key is not kept.
ensure_certificate() {
  local folder
  kubectl --namespace traefik get secret certificate --ignore-not-found --output 'jsonpath={.data.ca\.crt}' |
    base64 --decode >"$RESULT/ca.crt"
  ! openssl x509 -in "$RESULT/ca.crt" -noout -checkend 86400 >/dev/null 2>&1 || return 0
  kubectl create namespace traefik --dry-run=client --output yaml | logged traefik kubectl apply --filename -
  folder=$(mktemp -d)
  logged certificate in_folder "$folder" make_certificate "DNS:localhost,DNS:*.models.localhost,IP:127.0.0.1"
  kubectl --namespace traefik create secret generic certificate --type kubernetes.io/tls \
    --from-file="$folder/tls.crt" --from-file="$folder/tls.key" --from-file="$folder/ca.crt" \
    --dry-run=client --output yaml | logged traefik kubectl apply --filename -
  mv "$folder/ca.crt" "$RESULT/ca.crt"
  rm -rf "$folder"
}

# make_certificate NAMES: creates ca.crt, and tls.crt with tls.key for the names. The extensions are those that Python requires.
make_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=modelyard local CA" \
    -addext "keyUsage=critical,keyCertSign" -keyout ca.key -out ca.crt
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" -keyout tls.key -out tls.csr
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out tls.crt \
    -extfile <(printf '%s\n' "subjectAltName=$1" authorityKeyIdentifier=keyid basicConstraints=CA:FALSE extendedKeyUsage=serverAuth)
}
