{{- define "model-booster.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 44 | trimSuffix "-" }}
{{- end }}

{{/* The beginning of all names. Services allow 63 characters, and "-controller-metrics" is the longest ending. */}}
{{- define "model-booster.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $full | trunc 44 | trimSuffix "-" }}
{{- end }}

{{/* Of (list $ "webhook"): what selects the pods of a component; it can never change. */}}
{{- define "model-booster.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "model-booster.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Of (list $ "webhook"), or (list $ "") for what belongs to no component. */}}
{{- define "model-booster.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "model-booster.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: model-booster
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with include "model-booster.commonLabels" $root }}{{ . | nindent 0 }}{{ end }}
{{- end }}

{{- define "model-booster.commonLabels" -}}
{{- with merge dict .Values.commonLabels (.Values.global.commonLabels | default dict) }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "model-booster.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat .Values.imagePullSecrets (.Values.global.imagePullSecrets | default list) }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $secrets -}}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Of annotations: an `annotations` field, unless it would be empty. */}}
{{- define "model-booster.annotations" -}}
{{- with . -}}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "model-booster.ipFamilies" -}}
{{- $set := dict }}
{{- range $field := list "ipFamilyPolicy" "ipFamilies" }}
{{- with index $.Values.services $field }}
{{- $set = set $set $field . }}
{{- end }}
{{- end }}
{{- with $set }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "model-booster.leaseNamespace" -}}
{{ .Values.leaderElection.namespace | default .Release.Namespace }}
{{- end }}

{{/* Of (list $ "webhook"): what the program gives the Secret or Lease of a component when it recreates it.
Without it Helm would refuse the next upgrade, because the object "exists and cannot be imported". */}}
{{- define "model-booster.stateMetadata" -}}
{{- $release := (index . 0).Release -}}
{{- $annotations := dict "meta.helm.sh/release-name" $release.Name "meta.helm.sh/release-namespace" $release.Namespace -}}
{{- dict "labels" (include "model-booster.labels" . | fromYaml) "annotations" $annotations | toJson }}
{{- end }}

{{/* Of (list $ "webhook"). */}}
{{- define "model-booster.serviceAccountName" -}}
{{- $root := index . 0 }}
{{- $account := (index $root.Values (index . 1)).serviceAccount }}
{{- $made := printf "%s-%s" (include "model-booster.fullname" $root) (index . 1) }}
{{- $account.name | default ($account.create | ternary $made "default") }}
{{- end }}

{{- define "model-booster.image" -}}
{{- with .Values.image -}}
{{ with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The image of the downloader; our default names no registry, as that of the operator. */}}
{{- define "model-booster.downloaderImage" -}}
{{- $image := .Values.kthena.downloaderImage }}
{{- if and .Values.image.registry (not (contains "/" $image)) -}}
{{ .Values.image.registry }}/{{ end }}{{ $image }}
{{- end }}

{{/* The names that webhook pods and the objects around them must agree on. */}}
{{- define "model-booster.authoritySecret" -}}
{{ include "model-booster.fullname" . }}-webhook-ca
{{- end }}

{{- define "model-booster.servingSecret" -}}
{{- $given := .Values.webhook.certManagement.provided.secretName }}
{{- $provided := eq .Values.webhook.certManagement.mode "provided" }}
{{- $provided | ternary $given (printf "%s-webhook-tls" (include "model-booster.fullname" .)) }}
{{- end }}

{{/* Environment that both processes read. Lists and maps go in the form that modelbooster/settings.py reads. */}}
{{- define "model-booster.commonEnv" -}}
- name: MODELBOOSTER_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: MODELBOOSTER_LOG_FORMAT
  value: {{ .Values.logFormat | quote }}
- name: MODELBOOSTER_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: MODELBOOSTER_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: MODELBOOSTER_KUBE_API_QPS
  value: {{ .Values.kubeAPI.qps | quote }}
- name: MODELBOOSTER_KUBE_API_BURST
  value: {{ .Values.kubeAPI.burst | quote }}
{{- with .Values.kthena }}
- name: MODELBOOSTER_KTHENA_RELEASE
  value: {{ .release | quote }}
- name: MODELBOOSTER_KTHENA_NAMESPACE
  value: {{ .namespace | quote }}
- name: MODELBOOSTER_MAX_WAITING_REQUESTS
  value: {{ .maxWaitingRequests | int64 | quote }}
- name: MODELBOOSTER_DOWNLOADER_IMAGE
  value: {{ include "model-booster.downloaderImage" $ | quote }}
- name: MODELBOOSTER_RUNTIME_IMAGE
  value: {{ .runtimeImage | quote }}
- name: MODELBOOSTER_IMAGE_PULL_POLICY
  value: {{ .imagePullPolicy | quote }}
- name: MODELBOOSTER_DOWNLOADER_RESOURCES
  value: {{ .downloaderResources | toJson | quote }}
- name: MODELBOOSTER_DOWNLOADER_ARGS
  value: {{ .downloaderArgs | toJson | quote }}
- name: MODELBOOSTER_DOWNLOADER_USER
  value: {{ kindIs "invalid" .downloaderUser | ternary "" (.downloaderUser | int64 | toString) | quote }}
- name: MODELBOOSTER_RUNTIME_RESOURCES
  value: {{ .runtimeResources | toJson | quote }}
- name: MODELBOOSTER_DEFAULT_SCHEDULER_NAME
  value: {{ .defaultSchedulerName | quote }}
- name: MODELBOOSTER_KV_EVENTS
  value: {{ .kvEvents | quote }}
- name: MODELBOOSTER_HOST_PATH_PREFIXES
  value: {{ join "," .hostPathPrefixes | default "none" | quote }}
{{- end }}
- name: MODELBOOSTER_ENGINE_STARTUP_SECONDS
  value: {{ .Values.engine.startupSeconds | int64 | quote }}
- name: MODELBOOSTER_ENGINE_ENV_FROM
  value: {{ .Values.engine.envFrom | quote }}
- name: MODELBOOSTER_CACHE_WARMUP
  value: {{ .Values.cacheWarmup.enabled | quote }}
{{- end }}

{{/* Of the values of a component. */}}
{{- define "model-booster.strategy" -}}
{{- if .strategy }}
{{- toYaml .strategy }}
{{- else -}}
type: RollingUpdate
rollingUpdate: {{ .hostNetwork | default false | ternary "{maxUnavailable: 1, maxSurge: 0}" "{maxUnavailable: 0, maxSurge: 1}" }}
{{- end }}
{{- end }}

{{/* Of (list $ "webhook"): the port for metrics and probes. */}}
{{- define "model-booster.metricsPort" -}}
{{- $root := index . 0 -}}
{{ (index $root.Values (index . 1)).metricsPort | default $root.Values.metrics.port | int64 }}
{{- end }}

{{/* The host of `webhook.url`, without port and brackets. */}}
{{- define "model-booster.urlHost" -}}
{{ (urlParse .Values.webhook.url).hostname }}
{{- end }}

{{/* Of the values of a component. Liveness never looks at the API server: its outage must not restart us. */}}
{{- define "model-booster.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  {{- toYaml .startupProbe | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: http}
  {{- toYaml .livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: http}
  {{- toYaml .readinessProbe | nindent 2 }}
{{- end }}

{{/* Of (list $ "webhook"): the network of the pods of a component. */}}
{{- define "model-booster.network" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
# Links would add variables named MODELBOOSTER_..., and an unknown one is an error at start.
enableServiceLinks: false
{{- if $values.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with $values.dnsPolicy | default ($values.hostNetwork | default false | ternary "ClusterFirstWithHostNet" "") }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $values.dnsConfig }}
dnsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Of (list $ "webhook"): where the pods of a component run. */}}
{{- define "model-booster.scheduling" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $values := index $root.Values $component -}}
topologySpreadConstraints:
{{- with $values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "model-booster.selectorLabels" (list $root $component) | nindent 8 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName | default $root.Values.global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
