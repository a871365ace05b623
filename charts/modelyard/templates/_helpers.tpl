{{- define "modelyard.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "modelyard.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "modelyard.labels" -}}
{{ include "modelyard.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Base images by Python version, without versions whose image is null: `--reuse-values` keeps these. */}}
{{- define "modelyard.images" -}}
{{- $images := dict }}
{{- range $version, $image := . }}
{{- if $image }}
{{- $_ := set $images $version $image }}
{{- end }}
{{- end }}
{{- toJson $images }}
{{- end }}

{{- define "modelyard.image" -}}
{{- $repository := required "image.repository is required: set the name of the operator's image, which `make image` builds and pushes" .Values.image.repository -}}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}
{{- else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Security context of each pod, as the Pod Security Standard "restricted" requires. */}}
{{- define "modelyard.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "modelyard.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Mounts of containers that read the settings of the operator, at the paths in the settings. */}}
{{- define "modelyard.settingsMounts" -}}
- name: settings
  mountPath: /etc/modelyard/settings
  readOnly: true
{{- if .Values.registry.secretName }}
- name: registry
  mountPath: /etc/modelyard/registry
  readOnly: true
{{- end }}
{{- if .Values.caBundle.configMapName }}
- name: ca
  mountPath: /etc/modelyard/ca
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "modelyard.settingsVolumes" -}}
- name: settings
  configMap:
    name: {{ include "modelyard.fullname" . }}
{{- with .Values.registry.secretName }}
- name: registry
  secret:
    secretName: {{ . }}
    items:
      - {key: .dockerconfigjson, path: config.json}
{{- end }}
{{- with .Values.caBundle.configMapName }}
- name: ca
  configMap:
    name: {{ . }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- end }}

{{/* Fails if values of routing do not fit together. */}}
{{- define "modelyard.checkRouting" -}}
{{- if .kind }}
{{- if not (contains "{service}" (print .host .path)) }}
{{- fail "routing.host: the host or routing.path must contain {service}, such as {service}-{namespace}.models.example.com" }}
{{- end }}
{{- if not .host }}
{{- fail "routing.host: set the host of Services, such as models.example.com" }}
{{- end }}
{{- if and (eq .kind "HTTPRoute") (not (and .gateway.name .gateway.namespace)) }}
{{- fail "routing.gateway: set name and namespace of the Gateway that HTTPRoutes attach to" }}
{{- end }}
{{- if and (eq .kind "Ingress") (ne .path "/") }}
{{- fail "routing.path: an Ingress cannot remove a path prefix. Leave the path at /, and put {service} into routing.host" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fails if a variable has a password in its value, which every reader of the release's objects could read. */}}
{{- define "modelyard.checkVariables" -}}
{{- range .variables }}
{{- if regexMatch "://[^/@]*:[^/@]*@" (.value | default "" | toString) }}
{{- fail (printf "%s: the value of %s has a password: put the value into a Secret, and name the Secret by valueFrom.secretKeyRef" $.path .name) }}
{{- end }}
{{- end }}
{{- end }}
