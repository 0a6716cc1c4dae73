{{- define "vecdb.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vecdb.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vecdb.labels" -}}
{{ include "vecdb.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The configuration file: what the values say, and over it what the chart knows. */}}
{{- define "vecdb.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $keys := list -}}
{{- range $at, $key := .Values.keys -}}
{{- $one := dict "name" $key.name "access" ($key.access | default "read") "key_file" (printf "/etc/vecdb/keys/%d" $at) -}}
{{- if $key.collections -}}{{- $_ := set $one "collections" $key.collections -}}{{- end -}}
{{- $keys = append $keys $one -}}
{{- end -}}
{{- if $keys -}}
{{- $_ := set $config "auth" (merge (dict "keys" $keys) ($config.auth | default dict)) -}}
{{- end -}}
{{- $storage := merge (dict "path" "/var/lib/vecdb/data") ($config.storage | default dict) -}}
{{- $_ := set $config "storage" $storage -}}
{{- $listen := dict "grpc" "0.0.0.0:6333" "http" "0.0.0.0:6334" "metrics" (printf "0.0.0.0:%d" (int .Values.metrics.port)) -}}
{{- $_ := set $config "listen" (merge $listen ($config.listen | default dict)) -}}
{{- if .Values.tls.secretName -}}
{{- $tls := dict "certificate" "/etc/vecdb/tls/tls.crt" "key" "/etc/vecdb/tls/tls.key" -}}
{{- if .Values.tls.clientCertificates -}}{{- $_ := set $tls "client_ca" "/etc/vecdb/tls/ca.crt" -}}{{- end -}}
{{- $_ := set $config "tls" $tls -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
