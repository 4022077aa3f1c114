{{- define "authz.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "authz.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "authz.labels" -}}
{{ include "authz.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "authz.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "authz.policyConfigMap" -}}
{{- .Values.policy.existingConfigMap | default (printf "%s-policy" (include "authz.fullname" .)) -}}
{{- end -}}

{{/* A ConfigMap's key can't hold a slash; the volume puts the folder back. */}}
{{- define "authz.policyKey" -}}
{{- . | replace "/" "__" -}}
{{- end -}}

{{/* What the chart decides, over what `settings` says. */}}
{{- define "authz.settings" -}}
{{- $tls := dict "may_connect" .Values.tls.mayConnect -}}
{{- if eq .Values.tls.source "workloadApi" -}}
{{- $_ := set $tls "workload_api" (printf "unix:/spiffe/%s" .Values.tls.workloadApi.socket) -}}
{{- with .Values.tls.workloadApi.spiffeId }}{{ $_ := set $tls "spiffe_id" . }}{{ end -}}
{{- else if eq .Values.tls.source "istio" -}}
{{- $_ := set $tls "cert" "/tls/cert-chain.pem" -}}
{{- $_ := set $tls "key" "/tls/key.pem" -}}
{{- $_ := set $tls "client_ca" "/tls/root-cert.pem" -}}
{{- else -}}
{{- $_ := set $tls "cert" "/tls/tls.crt" -}}
{{- $_ := set $tls "key" "/tls/tls.key" -}}
{{- $_ := set $tls "client_ca" "/tls/ca.crt" -}}
{{- end -}}
{{- $own := dict
      "policy_dir" "/policy"
      "listen" (list (printf "0.0.0.0:%d" (int .Values.service.port)))
      "admin_listen" (printf "0.0.0.0:%d" (int .Values.service.adminPort))
      "health_wait" (printf "%ds" (int .Values.drain.healthWait))
      "drain_grace" (printf "%ds" (int .Values.drain.grace))
      "tls" $tls -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.settings) $own) -}}
{{- end -}}
