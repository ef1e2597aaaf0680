{{/* The prefix of all names: the release's name, with the chart's name in it once. */}}
{{- define "envladder.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Names take (list PART .). */}}
{{- define "envladder.name" -}}
{{- printf "%s-%s" (include "envladder.fullname" (index . 1)) (index . 0) -}}
{{- end -}}

{{/* The labels that select a part's pods. They never change during a release's life. */}}
{{- define "envladder.selectorLabels" -}}
app.kubernetes.io/name: envladder-{{ index . 0 }}
app.kubernetes.io/instance: {{ (index . 1).Release.Name }}
{{- end -}}

{{- define "envladder.labels" -}}
{{- $root := index . 1 -}}
{{ include "envladder.selectorLabels" . }}
app.kubernetes.io/part-of: envladder
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image of a part: (list PART IMAGE .). A name without a host would refer to Docker Hub. */}}
{{- define "envladder.image" -}}
{{- $image := index . 1 -}}
{{- $registry := (index . 2).Values.image.registry | trimSuffix "/" -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") -}}
{{- if not (regexMatch "^(localhost|[^/]*[.:][^/]*)/" $name) -}}
{{- fail (printf "image.registry is %q, so the image of %s would be pulled from Docker Hub: name the registry that envladder's images are in, with its host (registry.example.com/platform, docker.io/acme)" $registry (index . 0)) -}}
{{- end -}}
{{- $name -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag }}{{ end -}}
{{- end -}}

{{/* The part of the pod that all programs share. */}}
{{- define "envladder.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "envladder.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Scheduling of pods, from a part's values: lines of a pod template in a Deployment. */}}
{{- define "envladder.scheduling" -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $ $key }}
      {{ $key }}:
        {{- toYaml . | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "envladder.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
{{- end }}
{{- end -}}

{{/* Credentials for registries, from a part's values: the volume, its mount, and the flags. */}}
{{- define "envladder.registryVolume" -}}
{{- with .registrySecrets }}
      - name: registry
        projected:
          sources:
          {{- range . }}
          - secret:
              name: {{ . }}
              items:
              - key: .dockerconfigjson
                path: {{ . }}.json
          {{- end }}
{{- end }}
{{- end -}}

{{- define "envladder.registryMount" -}}
{{- if .registrySecrets }}
        - name: registry
          mountPath: /registry
          readOnly: true
{{- end }}
{{- end -}}

{{- define "envladder.registryArgs" -}}
{{- range .registrySecrets }}
        - --registry-config=/registry/{{ . }}.json
{{- end }}
{{- range .registryKeychains }}
        - --registry-keychain={{ . }}
{{- end }}
{{- end -}}
