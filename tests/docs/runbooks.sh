# Sourced before the commands of the runbooks: a Service, and the variables that a reader takes from an alert.
# While no alert fires, filters find nothing. The metrics API has figures of a new pod after some seconds only.
kubectl() {
  local attempts=0
  until command kubectl "$@"; do
    attempts=$((attempts + 1))
    [ "$attempts" -lt 60 ] || return 1
    sleep 1
  done
}
grep() { command grep "$@" || [ $? -eq 1 ]; }

. .cluster/env
NAMESPACE=runbooks SERVICE=double NAME=double
REGISTRY_URL=$REGISTRY_SCHEME://$REGISTRY_INTERNAL
command kubectl delete namespace "$NAMESPACE" --ignore-not-found
command kubectl create namespace "$NAMESPACE"
command kubectl --namespace "$NAMESPACE" apply -f - <<EOF
apiVersion: modelyard.dev/v1alpha1
kind: Manifest
metadata: {name: double}
spec:
  driverProgram: driver
  assets:
    - id: driver
      content: |
        # written at $(date +%s): an image that the registry has is not built, and has no log
        def init(): ...
        def run(x: float) -> float: return 2 * x
  targetRuntime: {runtimeType: Python, properties: {pythonVersion: "3.11"}}
---
apiVersion: modelyard.dev/v1alpha1
kind: Image
metadata: {name: double}
spec: {manifestId: double, imageType: Docker}
---
apiVersion: modelyard.dev/v1alpha1
kind: Service
metadata: {name: double}
spec:
  imageId: double
  autoScaler: {autoscaleEnabled: true, minReplicas: 1, maxReplicas: 2}
  dataCollection: {storageEnabled: true}
  containerResourceReservation: {cpu: 10m, memory: 64Mi}
EOF
command kubectl --namespace "$NAMESPACE" wait --for=condition=Ready --timeout=10m msvc/double
