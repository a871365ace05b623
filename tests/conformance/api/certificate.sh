#!/usr/bin/env bash
# Create a Secret with a certificate for the gateway of a test cluster, unless the Secret exists.
set -euo pipefail
namespace=modelyard-system
name=modelyard-gateway
kubectl --namespace "$namespace" get secret "$name-tls" >/dev/null 2>&1 && exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$name" \
  -addext "subjectAltName=DNS:localhost,DNS:$name.$namespace.svc" \
  -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>/dev/null
kubectl create namespace "$namespace" --dry-run=client --output yaml | kubectl apply --filename - >/dev/null
kubectl --namespace "$namespace" create secret tls "$name-tls" --cert="$folder/tls.crt" --key="$folder/tls.key" >/dev/null
