#!/usr/bin/env bash
# Builds a Kubernetes control plane from package registries only (Go modules, and Debian for "node").
#
#   build.sh BIN [PART...]     BIN: output folder; PARTs, by default the first three:
#     etcd  kube-apiserver  kube-controller-manager      for CRDs, webhooks, RBAC, garbage collection
#     kube-scheduler  kwok                               for Deployments and pods that turn Ready (faked)
#     kube-scheduler  kubelet  node                      for real pods: containerd and runc too (Debian 12, root)
#   K8S=1.34 (default), 1.30 or 1.37: the pinned versions are in k8s-*/go.mod, their checksums in go.sum.
#
# A part is built only if BIN has none from the same go.sum and Go version. GO_BUILD_FLAGS=-v names each package as it goes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kwok_version=v0.7.0
[[ $# -gt 0 ]] || { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
mkdir -p "$1" && bin=$(realpath "$1")
shift
(($#)) || set -- etcd kube-apiserver kube-controller-manager
minor=${K8S:-1.34}
cd "$here/k8s-$minor"
version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[^ ]*\).*/\1/p' go.mod)
export CGO_ENABLED=0
flags=(-trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version
  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor#1.}")

build() { # PART PACKAGE
  local stamp
  stamp=$(cat go.mod go.sum <(go version) | sha256sum)
  [[ -x $bin/$1 && $(cat "$bin/.$1.stamp" 2>/dev/null) = "$stamp" ]] && return
  # shellcheck disable=SC2086
  go build ${GO_BUILD_FLAGS:-} "${flags[@]}" -o "$bin/$1" "$2"
  echo "$stamp" >"$bin/.$1.stamp"
}

for part; do
  case $part in
    etcd) build etcd go.etcd.io/etcd/server/v3 ;;
    kube-apiserver | kube-controller-manager | kube-scheduler | kubelet) build "$part" "k8s.io/kubernetes/cmd/$part" ;;
    kwok) [[ -x $bin/kwok ]] || GOBIN=$bin go install -trimpath -ldflags "-s -w" "sigs.k8s.io/kwok/cmd/kwok@$kwok_version" ;;
    node)
      [[ -x $bin/node/usr/bin/containerd ]] && continue
      tmp=$(mktemp -d)
      (cd "$tmp" && apt-get update -qq && apt-get download -qq containerd runc containernetworking-plugins)
      for deb in "$tmp"/*.deb; do dpkg -x "$deb" "$bin/node"; done
      # The container that holds a pod's namespaces.
      go build "${flags[@]}" -o "$bin/node/pause" "$here/pause.go"
      python3 "$here/image.py" registry.k8s.io/pause:local "$bin/node/pause.tar" '["/pause"]' "$bin/node/pause=/pause"
      rm -rf "$tmp" ;;
    *) echo "build: no such part: $part" >&2; exit 2 ;;
  esac
done
