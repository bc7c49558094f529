#!/usr/bin/env python3
"""Prints the go.mod of a Kubernetes version.

k8s-new.py v1.38.0 > k8s-1.38/go.mod; cd k8s-1.38; go mod tidy

k8s.io/kubernetes names its staging modules at v0.0.0, so each needs a replace line.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

TOOLS = (
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubelet",
)

if len(sys.argv) != 2:
    sys.exit(__doc__)
version = sys.argv[1]
download = subprocess.run(
    ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"],
    cwd="/",
    check=True,
    capture_output=True,
)
upstream = Path(json.loads(download.stdout)["GoMod"]).read_text()
go = re.search(r"^go (\S+)", upstream, re.M)
staging = sorted(set(re.findall(r"^\s*(k8s\.io/[\w-]+) v0\.0\.0(?:\s|$)", upstream, re.M)))
print(f"module controlplane\n\ngo {go and go[1]}\n\ntool (")
print(
    "".join(f"\t{tool}\n" for tool in TOOLS)
    + f")\n\nrequire k8s.io/kubernetes {version}\n\nreplace ("
)
print("".join(f"\t{module} => {module} v0.{version[3:]}\n" for module in staging) + ")")
