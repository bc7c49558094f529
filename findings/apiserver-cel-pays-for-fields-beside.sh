#!/usr/bin/env bash
# kube-apiserver: a CEL rule that reads one field pays for all fields that the schema names beside it.
#
# Library:   k8s.io/apiextensions-apiserver v0.34.4, which kube-apiserver 1.34.4 checks custom resources with.
# Expected:  "self.size > 0" costs the same whether the schema knows one field or forty; the object has one.
# Seen:      36 allocations with one field, 282 with forty fields more, none of which the rule or the object names: each
#            read of a field copies the schemas of all properties of that object. The rule's cost limit does not show it.
# Matters:   many small rules on a wide object cost more than the rest of the admission. Read a field once in a rule, join
#            rules of the same object, and put them on a field that is often absent, since a rule there is not run then.
# Needs:     go 1.24 or later and the Go module proxy; two minutes. Exit code 0: still so. 1: the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/finding" && cd "$work/finding"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// spent returns the allocations of one check of self.size > 0 where size has other properties beside it.
func spent(others int) float64 {
	properties := map[string]apiextensions.JSONSchemaProps{"size": {Type: "integer"}}
	for n := range others {
		properties[fmt.Sprintf("other%d", n)] = apiextensions.JSONSchemaProps{Type: "string"}
	}
	internal := &apiextensions.JSONSchemaProps{Type: "object", Properties: properties,
		XValidations: apiextensions.ValidationRules{{Rule: "self.size > 0"}}}
	structural, err := schema.NewStructural(internal)
	if err != nil {
		panic(err)
	}
	validator := cel.NewValidator(structural, false, celconfig.PerCallLimit)
	object := map[string]interface{}{"size": int64(1)}
	return testing.AllocsPerRun(200, func() {
		faults, _ := validator.Validate(context.Background(), field.NewPath("spec"), structural, object, nil, celconfig.RuntimeCELCostBudget)
		if len(faults) > 0 {
			panic(faults.ToAggregate())
		}
	})
}

func main() {
	for _, others := range []int{0, 40} {
		fmt.Printf("%d fields more: %.0f allocations\n", others, spent(others))
	}
}
GO
export GOFLAGS=-mod=mod GOPATH="$work/go"
go mod init finding >/dev/null 2>&1
for module in apiextensions-apiserver apimachinery apiserver; do
  go get "k8s.io/$module@v0.34.4" >/dev/null 2>&1
done
seen=$(go run .)
echo "$seen"
few=$(sed -n 's/^0 fields more: \([0-9]*\) .*/\1/p' <<<"$seen")
many=$(sed -n 's/^40 fields more: \([0-9]*\) .*/\1/p' <<<"$seen")
((many >= 4 * few)) || { echo "the behaviour has changed" >&2; exit 1; }
