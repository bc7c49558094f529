{{- /*
Names every Deployment of kthena-controller-manager whose ModelBooster controller is on, as
"namespace/name" separated by spaces. Empty where the chart is rendered without a cluster.
*/ -}}
{{- define "model-booster.conflictingControllers" -}}
{{- $found := list }}
{{- if .Values.kthena.lookupController }}
{{- range (lookup "apps/v1" "Deployment" "" "").items }}
{{- if eq .metadata.name "kthena-controller-manager" }}
{{- $words := list }}
{{- range .spec.template.spec.containers }}
{{- $words = concat $words (.command | default list) (.args | default list) }}
{{- end }}
{{- $flag := regexFind "--controllers[= ][^ ]+" (join " " $words) | default "--controllers=*" }}
{{- $on := regexReplaceAll "^--controllers[= ]" $flag "" | splitList "," }}
{{- if and (not (has "-modelbooster" $on)) (or (has "*" $on) (has "modelbooster" $on) (has "+modelbooster" $on)) }}
{{- $found = append $found (printf "%s/%s" .metadata.namespace .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- join " " $found }}
{{- end }}
