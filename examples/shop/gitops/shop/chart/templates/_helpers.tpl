{{/* The name of every object: the release's name, which differs between environments. */}}
{{- define "shop.fullname" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels that select the pods. They never change for a release. */}}
{{- define "shop.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shop.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: web
{{ include "shop.selectorLabels" . }}
{{- end -}}

{{/* The labels of a job. They aren't the service's selector labels, so the job's pods get no traffic. */}}
{{- define "shop.jobLabels" -}}
{{- $name := index . 0 -}}
{{- with index . 1 -}}
app.kubernetes.io/name: {{ .Chart.Name }}-{{ $name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ $name }}
{{- end -}}
{{- end -}}

{{/* The pod of a job: the service's image with one argument. */}}
{{- define "shop.job" -}}
{{- $argument := index . 0 -}}
{{- with index . 1 -}}
restartPolicy: Never
automountServiceAccountToken: false
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
- name: {{ $argument }}
  image: {{ include "shop.image" . }}
  args: [{{ $argument }}]
  env:
  - name: DATABASE_KIND
    value: {{ .Values.database.kind | quote }}
  - name: DATABASE_HOST
    value: {{ .Values.database.host | quote }}
  {{- with .Values.secretStore.name }}
  envFrom:
  - secretRef:
      name: {{ . }}
      optional: true
  {{- end }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* The image by its digest. A tag could move between two pods of one Deployment. */}}
{{- define "shop.image" -}}
{{- $repository := required "image.repository is empty: render through the ladder" .Values.image.repository -}}
{{- $digest := required "image.digest is empty: pin the image" .Values.image.digest -}}
{{- printf "%s@%s" $repository $digest -}}
{{- end -}}

{{/* The variables that the service reads from its environment. */}}
{{- define "shop.config" -}}
DATABASE_KIND: {{ .Values.database.kind | quote }}
DATABASE_HOST: {{ .Values.database.host | quote }}
CACHE_KIND: {{ .Values.cache.kind | quote }}
STORAGE_BUCKET: {{ .Values.storage.bucket | quote }}
OIDC_ISSUER: {{ .Values.oidc.issuer | quote }}
{{- range $name, $on := .Values.features }}
FEATURE_{{ $name | snakecase | upper }}: {{ $on | quote }}
{{- end }}
{{- end -}}
