{{- define "envladder.tlsSecret" -}}
{{- if .Values.webhook.tls.secretName -}}
{{- .Values.webhook.tls.secretName -}}
{{- else -}}
{{- include "envladder.name" (list "webhook" .) }}-tls
{{- end -}}
{{- end -}}

{{/* The source of the certificate: given, manager or own. */}}
{{- define "envladder.certificate" -}}
{{- $tls := .Values.webhook.tls -}}
{{- if $tls.certManager.enabled -}}
manager
{{- else if $tls.caBundle -}}
given
{{- else if $tls.secretName -}}
{{- fail "webhook.tls.caBundle is empty: give the CA of the certificate in webhook.tls.secretName as PEM" -}}
{{- else -}}
own
{{- end -}}
{{- end -}}

{{/* The objects that are sent: everything that has a pod template. */}}
{{- define "envladder.rules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [pods, podtemplates, replicationcontrollers]
  scope: Namespaced
# Debug containers are added by a subresource, as an UPDATE of the pod.
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/ephemeralcontainers]
  scope: Namespaced
- apiGroups: [apps]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [daemonsets, deployments, replicasets, statefulsets]
  scope: Namespaced
- apiGroups: [batch]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [cronjobs, jobs]
  scope: Namespaced
- apiGroups: [argoproj.io]
  apiVersions: [v1alpha1]
  operations: [CREATE, UPDATE]
  resources: [rollouts]
  scope: Namespaced
- apiGroups: [serving.knative.dev]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [configurations, services]
  scope: Namespaced
{{- range .Values.webhook.kinds }}
{{- if .paths }}
{{- $kind := splitList "/" .kind }}
- apiGroups: [{{ first $kind | quote }}]
  apiVersions: [{{ index $kind 1 | quote }}]
  operations: [CREATE, UPDATE]
  resources: [{{ .resource | quote }}]
  scope: Namespaced
{{- end }}
{{- end }}
{{- end -}}

{{/*
CEL that is true where an update changes a pod template of a kind, and for kinds whose
templates aren't known here. A Pod's template is its spec. A path through a list is
compared from the list on. The webhook's kinds.go has the same places.
*/}}
{{- define "envladder.templateChanges" -}}
{{- $kinds := dict
  ".?spec" (list "/Pod")
  ".?template" (list "/PodTemplate")
  ".?spec.?template" (list "/ReplicationController" "apps/DaemonSet" "apps/Deployment" "apps/ReplicaSet" "apps/StatefulSet" "batch/Job" "argoproj.io/Rollout" "serving.knative.dev/Configuration" "serving.knative.dev/Service")
  ".?spec.?jobTemplate.?spec.?template" (list "batch/CronJob") }}
{{- range $entry := .Values.webhook.kinds }}
{{- $kind := splitList "/" $entry.kind }}
{{- range $entry.paths }}
{{- $field := "" }}
{{- range splitList "[]" . | first | splitList "." }}
{{- $field = printf "%s[?'%s']" $field . }}
{{- end }}
{{- $_ := set $kinds $field (append (get $kinds $field | default list) (printf "%s/%s" (first $kind) (last $kind)) | uniq) }}
{{- end }}
{{- end }}
{{- $known := list }}
{{- range $names := $kinds }}
{{- $known = concat $known $names | uniq }}
{{- end -}}
!(kind in ['{{ join "', '" ($known | sortAlpha) }}'])
{{- range $field, $names := $kinds }} ||
kind in ['{{ join "', '" $names }}'] && object{{ $field }} != oldObject{{ $field }}
{{- end }}
{{- end -}}

{{/* The program's flags for kinds that aren't Kubernetes' own. */}}
{{- define "envladder.kinds" -}}
{{- range $entry := .Values.webhook.kinds }}
{{- if ne (len (splitList "/" $entry.kind)) 3 }}
{{- fail (printf "webhook.kinds names %q: write group/version/Kind" $entry.kind) }}
{{- end }}
{{- range $entry.paths }}
- {{ printf "--pod-template-path=%s=%s" $entry.kind . | quote }}
{{- end }}
{{- range $entry.controllers }}
- {{ printf "--pod-controller=%s=%s" $entry.kind . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The folder of trusted roots. */}}
{{- define "envladder.trustedRootsVolume" -}}
{{- with .trustedRoots }}
{{- if and .configMap .secret }}
{{- fail "webhook.trustedRoots names a ConfigMap and a Secret: name one" }}
{{- end }}
{{- if hasPrefix "ladder-" .configMap }}
{{- fail (printf "webhook.trustedRoots.configMap is %q: the guard lets teams write ConfigMaps whose names begin with ladder-; choose another name" .configMap) }}
{{- end }}
{{- if .configMap }}
      - name: trusted-roots
        configMap:
          name: {{ .configMap }}
{{- else if .secret }}
      - name: trusted-roots
        secret:
          secretName: {{ .secret }}
{{- end }}
{{- end }}
{{- end -}}
