package main

import "encoding/json"

// What a typed Go webhook decodes a ModelBooster into: the whole spec, as struct fields.

type metadata struct {
	Name              string            `json:"name,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	Generation        int64             `json:"generation,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	CreationTimestamp string            `json:"creationTimestamp,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	ManagedFields     []managedFields   `json:"managedFields,omitempty"`
}

type managedFields struct {
	Manager    string          `json:"manager,omitempty"`
	Operation  string          `json:"operation,omitempty"`
	APIVersion string          `json:"apiVersion,omitempty"`
	Time       string          `json:"time,omitempty"`
	FieldsType string          `json:"fieldsType,omitempty"`
	FieldsV1   json.RawMessage `json:"fieldsV1,omitempty"`
}

type keyRef struct {
	Name     string `json:"name,omitempty"`
	Key      string `json:"key"`
	Optional *bool  `json:"optional,omitempty"`
}

type envSource struct {
	FieldRef *struct {
		FieldPath string `json:"fieldPath"`
	} `json:"fieldRef,omitempty"`
	ConfigMapKeyRef *keyRef `json:"configMapKeyRef,omitempty"`
	SecretKeyRef    *keyRef `json:"secretKeyRef,omitempty"`
}

type envVar struct {
	Name      string     `json:"name"`
	Value     string     `json:"value,omitempty"`
	ValueFrom *envSource `json:"valueFrom,omitempty"`
}

type nameRef struct {
	Name     string `json:"name,omitempty"`
	Optional *bool  `json:"optional,omitempty"`
}

type envFrom struct {
	Prefix       string   `json:"prefix,omitempty"`
	ConfigMapRef *nameRef `json:"configMapRef,omitempty"`
	SecretRef    *nameRef `json:"secretRef,omitempty"`
}

type resources struct {
	Limits   map[string]any `json:"limits,omitempty"`
	Requests map[string]any `json:"requests,omitempty"`
}

type worker struct {
	Type      string          `json:"type,omitempty"`
	Image     string          `json:"image,omitempty"`
	Replicas  int32           `json:"replicas,omitempty"`
	Pods      int32           `json:"pods,omitempty"`
	Resources resources       `json:"resources,omitempty"`
	Affinity  map[string]any  `json:"affinity,omitempty"`
	Config    json.RawMessage `json:"config,omitempty"`
}

type adapter struct {
	Name        string `json:"name"`
	ArtifactURL string `json:"artifactURL"`
}

type policy struct {
	TolerancePercent int32 `json:"tolerancePercent,omitempty"`
	Metrics          []struct {
		MetricName  string `json:"metricName"`
		TargetValue any    `json:"targetValue"`
	} `json:"metrics"`
}

type backend struct {
	Name                   string    `json:"name"`
	Type                   string    `json:"type"`
	ModelURI               string    `json:"modelURI"`
	CacheURI               string    `json:"cacheURI,omitempty"`
	Env                    []envVar  `json:"env,omitempty"`
	EnvFrom                []envFrom `json:"envFrom,omitempty"`
	MinReplicas            int32     `json:"minReplicas,omitempty"`
	MaxReplicas            int32     `json:"maxReplicas,omitempty"`
	ScalingCost            int32     `json:"scalingCost,omitempty"`
	RouteWeight            *uint32   `json:"routeWeight,omitempty"`
	ScaleToZeroGracePeriod string    `json:"scaleToZeroGracePeriod,omitempty"`
	Workers                []worker  `json:"workers"`
	LoraAdapters           []adapter `json:"loraAdapters,omitempty"`
	AutoscalingPolicy      *policy   `json:"autoscalingPolicy,omitempty"`
	SchedulerName          string    `json:"schedulerName,omitempty"`
}

type spec struct {
	Name              string         `json:"name,omitempty"`
	Owner             string         `json:"owner,omitempty"`
	Backends          []backend      `json:"backends,omitempty"`
	Backend           *backend       `json:"backend,omitempty"`
	AutoscalingPolicy *policy        `json:"autoscalingPolicy,omitempty"`
	CostExpansionRate *int32         `json:"costExpansionRatePercent,omitempty"`
	ModelMatch        map[string]any `json:"modelMatch,omitempty"`
}

type modelBooster struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   metadata       `json:"metadata"`
	Spec       spec           `json:"spec"`
	Status     map[string]any `json:"status,omitempty"`
}

type request struct {
	UID       string          `json:"uid"`
	Kind      map[string]any  `json:"kind"`
	Resource  map[string]any  `json:"resource"`
	Name      string          `json:"name,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	Operation string          `json:"operation"`
	UserInfo  map[string]any  `json:"userInfo"`
	Object    json.RawMessage `json:"object,omitempty"`
	OldObject json.RawMessage `json:"oldObject,omitempty"`
	DryRun    *bool           `json:"dryRun,omitempty"`
	Options   map[string]any  `json:"options,omitempty"`
}

type response struct {
	UID       string         `json:"uid"`
	Allowed   bool           `json:"allowed"`
	Status    map[string]any `json:"status,omitempty"`
	Patch     []byte         `json:"patch,omitempty"`
	PatchType string         `json:"patchType,omitempty"`
}

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}
