#!/usr/bin/env bash
# kube-apiserver's JSON patch library: "replace" of a key that does not exist succeeds and adds the key.
#
# Library:   gopkg.in/evanphx/json-patch.v4 v4.12.0, which kube-apiserver 1.34 uses for JSON patches (1.37: v4.13.0).
# Expected:  RFC 6902, section 4.3: "The target location MUST exist for the operation to be successful."
# Seen:      "replace" adds the key without an error. "remove" of the same key fails, as the RFC says.
# Matters:   a "replace" is no precondition. A patch that must fail when a field is absent (because another
#            CustomResourceDefinition pruned it, for instance) needs "remove", or "test", in front.
# Needs:     go 1.21 or later and the Go module proxy. Exit code 0: still so. 1: the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >main.go <<'GO'
package main

import (
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

func main() {
	for _, op := range []string{
		`[{"op": "replace", "path": "/status/name", "value": "new"}]`,
		`[{"op": "remove", "path": "/status/name"}]`,
	} {
		patch, err := jsonpatch.DecodePatch([]byte(op))
		if err != nil {
			panic(err)
		}
		result, err := patch.Apply([]byte(`{"status": {}}`))
		fmt.Printf("%s -> %s, error: %v\n", patch[0].Kind(), result, err != nil)
	}
}
GO
export GOFLAGS=-mod=mod GOPATH="$work/go"
go mod init finding >/dev/null 2>&1
go get gopkg.in/evanphx/json-patch.v4@v4.12.0 >/dev/null 2>&1
seen=$(go run .)
echo "$seen"
expected='replace -> {"status":{"name":"new"}}, error: false
remove -> , error: true'
[[ $seen == "$expected" ]] || { echo "the behaviour has changed" >&2; exit 1; }
