{{/* The username of a service account that is written namespace/name: (list VALUE ACCOUNT). */}}
{{- define "envladder.username" -}}
{{- if not (regexMatch "^[a-z0-9-]+/[a-z0-9.-]+$" (index . 1)) -}}
{{- fail (printf "%s names %q: write namespace/name" (index . 0) (index . 1)) -}}
{{- end -}}
system:serviceaccount:{{ replace "/" ":" (index . 1) }}
{{- end -}}

{{/* Usernames of service accounts, as a list of CEL: (list VALUE ACCOUNTS). */}}
{{- define "envladder.usernames" -}}
{{- $users := list -}}
{{- range index . 1 -}}
{{- $users = append $users (include "envladder.username" (list (index $ 0) .)) -}}
{{- end -}}
{{- $users | toJson -}}
{{- end -}}

{{/* The username of a part's own account: (list PART .). */}}
{{- define "envladder.ownUsername" -}}
{{- include "envladder.username" (list "the release" (printf "%s/%s" (index . 1).Release.Namespace (include "envladder.name" .))) -}}
{{- end -}}

{{/* Users who may write everything, as a list of CEL. */}}
{{- define "envladder.admins" -}}
{{- $admins := .Values.guard.admins -}}
{{- $users := concat ($admins.users | default list) (include "envladder.usernames" (list "guard.admins.serviceAccounts" $admins.serviceAccounts) | fromJsonArray) -}}
{{- if not (or $users $admins.groups) -}}
{{- fail "guard.admins is empty: name at least one account that may change Gates and upgrade envladder" -}}
{{- end -}}
{{- $users | default list | toJson -}}
{{- end -}}

{{/* Namespaces that the guard closes, as a list of CEL: envladder's, and those of the service
accounts that are admins. kube-system is left out: its accounts count as Kubernetes' own. */}}
{{- define "envladder.closedNamespaces" -}}
{{- $namespaces := list .Release.Namespace -}}
{{- range .Values.guard.admins.serviceAccounts -}}
{{- $namespaces = append $namespaces (splitList "/" . | first) -}}
{{- end -}}
{{- without $namespaces "kube-system" | uniq | toJson -}}
{{- end -}}

{{/* Users who may write another CA into the webhook's configuration, as a list of CEL. */}}
{{- define "envladder.renewers" -}}
{{- $tls := .Values.webhook.tls -}}
{{- if $tls.certManager.enabled -}}
{{- include "envladder.usernames" (list "webhook.tls.certManager.injector" (list $tls.certManager.injector)) -}}
{{- else if eq (include "envladder.certificate" .) "own" -}}
{{- list (include "envladder.ownUsername" (list "webhook" .)) | toJson -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* Users who create the webhook's certificate in its namespace, as a list of CEL. */}}
{{- define "envladder.certManagers" -}}
{{- $manager := .Values.webhook.tls.certManager -}}
{{- include "envladder.usernames" (list "webhook.tls.certManager.controller" (ternary (list $manager.controller) list $manager.enabled)) -}}
{{- end -}}

{{/* The ConfigMaps with ladders that this release's generator reads, as a list of CEL. */}}
{{- define "envladder.ladderConfigMaps" -}}
{{- $names := list -}}
{{- if .Values.appset.enabled -}}
{{- range .Values.appset.ladders -}}
{{- $names = append $names .configMap -}}
{{- end -}}
{{- end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* The variables that the expressions of files/guard.yaml use in both policies. */}}
{{- define "envladder.guardVariables" -}}
- name: admin
  expression: |-
    request.userInfo.username in {{ include "envladder.admins" . }} ||
    request.userInfo.?groups.orValue([]).exists(group, group in {{ .Values.guard.admins.groups | default list | toJson }})
# Kubernetes' controllers share one account, or have one each in kube-system.
- name: byKubernetes
  expression: |-
    request.userInfo.username in ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"] ||
    request.userInfo.?groups.orValue([]).exists(group, group == "system:serviceaccounts:kube-system")
- name: byWebhook
  expression: request.userInfo.username == "{{ include "envladder.ownUsername" (list "webhook" .) }}"
- name: byObserver
  expression: request.userInfo.username == "{{ include "envladder.ownUsername" (list "observer" .) }}"
- name: byWriter
  expression: request.userInfo.username in {{ include "envladder.usernames" (list "guard.namespace.writers" .Values.guard.namespace.writers) }}
- name: webhookName
  expression: '"{{ include "envladder.name" (list "webhook" .) }}"'
- name: ownNamespace
  expression: '"{{ .Release.Namespace }}"'
- name: resource
  expression: |-
    request.resource.resource + (has(request.subResource) && request.subResource != "" ? "/" + request.subResource : "")
# The object's name. The request's name is empty if a collection is deleted.
- name: name
  expression: |-
    request.operation == "CONNECT" ? request.name : (request.operation == "DELETE" ? oldObject : object).metadata.name
{{- end -}}

{{/* The variables of the policy for the cluster. */}}
{{- define "envladder.guardClusterVariables" -}}
- name: closedNamespaces
  expression: '{{ include "envladder.closedNamespaces" . }}'
- name: byRenewer
  expression: request.userInfo.username in {{ include "envladder.renewers" . }}
- name: byPolicyController
  expression: |-
    request.userInfo.username in {{ include "envladder.usernames" (list "guard.policyController" .Values.guard.policyController) }}
- name: observerName
  expression: '"{{ include "envladder.name" (list "observer" .) }}"'
{{- end -}}

{{/* The variables of the policy for envladder's namespace. */}}
{{- define "envladder.guardNamespaceVariables" -}}
- name: byNode
  expression: request.userInfo.?groups.orValue([]).exists(group, group == "system:nodes")
- name: byCertManager
  expression: request.userInfo.username in {{ include "envladder.certManagers" . }}
- name: tlsSecret
  expression: '"{{ include "envladder.tlsSecret" . }}"'
- name: evidenceCacheSecret
  expression: '"{{ include "envladder.name" (list "webhook" .) }}-evidence-cache"'
- name: ladders
  expression: '{{ include "envladder.ladderConfigMaps" . }}'
{{- end -}}

{{/* CEL: the request matches an entry of files/guard.yaml. */}}
{{- define "envladder.guardMatches" -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- $rules = append $rules (printf "request.resource.group == %q && variables.resource in %s" .group (toJson .resources)) -}}
{{- end -}}
({{ join " || " $rules }})
{{- with .when }} && (
{{ . | indent 2 }}){{ end -}}
{{- end -}}
