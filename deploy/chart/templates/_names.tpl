{{/* Name of every object: the release's and the chart's, once. */}}
{{- define "sidecar.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "sidecar" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-sidecar" (.Release.Name | trunc 42 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a sidecar that stands alone. */}}
{{- define "sidecar.selector" -}}
app.kubernetes.io/name: sidecar
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. Beside a service the instance is the service's, and not told. */}}
{{- define "sidecar.labels" -}}
{{- if eq .Values.form "standalone" -}}
{{ include "sidecar.selector" . }}
{{- else -}}
app.kubernetes.io/name: sidecar
{{- end }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Label of the pods that have a sidecar beside a service. */}}
{{- define "sidecar.podLabels" -}}
sidecar: beside
{{- end -}}

{{/* Of the pods: another config makes other pods. */}}
{{- define "sidecar.podAnnotations" -}}
checksum/config: {{ include "sidecar.config" . | sha256sum }}
{{- end -}}

{{- define "sidecar.config" -}}
{{ required "config: the sidecar's own config" .Values.config | toYaml }}
{{- end -}}

{{- define "sidecar.image" -}}
{{- .repository -}}:{{- .tag -}}
{{- with .digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{/* The consumer group, as the config says it or by its default. */}}
{{- define "sidecar.group" -}}
{{- $name := required "config.name: what the consumer group begins with" .Values.config.name -}}
{{- default (printf "%s-sidecar" $name) .Values.config.kafka.group -}}
{{- end -}}
