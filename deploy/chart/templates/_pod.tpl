{{/* The container, in every form. */}}
{{- define "sidecar.container" -}}
- name: sidecar
  image: {{ include "sidecar.image" (merge (dict "tag" (default .Chart.AppVersion .Values.image.tag)) .Values.image) }}
  args: [run, /etc/sidecar/sidecar.yaml]
  {{- if eq .Values.form "native-sidecar" }}
  restartPolicy: Always
  {{- end }}
  ports:
    - {name: sidecar-metrics, containerPort: 9464}
  {{- /* Beside a service there is none: the service would wait for the sidecar's model. */}}
  {{- if eq .Values.form "standalone" }}
  startupProbe:
    httpGet: {path: /startupz, port: sidecar-metrics}
    periodSeconds: 5
    failureThreshold: 60
  {{- end }}
  livenessProbe:
    httpGet: {path: /livez, port: sidecar-metrics}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: sidecar-metrics}
    periodSeconds: 5
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- include "sidecar.security" . | nindent 4 }}
  volumeMounts:
    - {name: sidecar-config, mountPath: /etc/sidecar, readOnly: true}
    - {name: sidecar-bundle, mountPath: /models, readOnly: true}
    - {name: sidecar-secrets, mountPath: /run/secrets/sidecar, readOnly: true}
    - {name: sidecar-tmp, mountPath: /tmp}
{{- end -}}

{{- define "sidecar.security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* What brings the bundle, where it comes in an image. */}}
{{- define "sidecar.bundleContainer" -}}
{{- with .Values.bundle.image -}}
- name: sidecar-bundle
  image: {{ include "sidecar.image" . }}
  command: [sh, -euc]
  args:
    - |
      mkdir -p "$BUNDLE"
      cp -R /bundle/. "$BUNDLE"
      echo "$MANIFEST_SHA256  $BUNDLE/manifest.toml" | sha256sum -c
  env:
    - {name: BUNDLE, value: {{ $.Values.config.model.bundle | quote }}}
    - {name: MANIFEST_SHA256, value: {{ .manifestSha256 | quote }}}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {cpu: 500m, memory: 64Mi}
  securityContext:
    {{- include "sidecar.security" $ | nindent 4 }}
  volumeMounts:
    - {name: sidecar-bundle, mountPath: /models}
{{- end -}}
{{- end -}}

{{/* The init containers; empty where there are none. */}}
{{- define "sidecar.initContainers" -}}
{{- $native := ternary (include "sidecar.container" .) "" (eq .Values.form "native-sidecar") -}}
{{- list (include "sidecar.bundleContainer" .) $native | compact | join "\n" -}}
{{- end -}}

{{/* The containers; empty where the sidecar is an init container. */}}
{{- define "sidecar.containers" -}}
{{- if ne .Values.form "native-sidecar" -}}
{{- include "sidecar.container" . -}}
{{- end -}}
{{- end -}}

{{- define "sidecar.volumes" -}}
- name: sidecar-config
  configMap: {name: {{ include "sidecar.name" . }}-config}
- name: sidecar-bundle
  {{- if .Values.bundle.image }}
  emptyDir: {sizeLimit: 2Gi}
  {{- else if .Values.bundle.objectStore }}
  persistentVolumeClaim: {claimName: {{ include "sidecar.name" . }}-models, readOnly: true}
  {{- else }}
  persistentVolumeClaim: {claimName: {{ .Values.bundle.claim }}, readOnly: true}
  {{- end }}
{{- /* Optional, so that what is missing is said by the sidecar and read as soon as it is there. */}}
- name: sidecar-secrets
  projected:
    sources:
      - secret: {name: {{ .Values.secret }}, optional: true}
- name: sidecar-tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}
