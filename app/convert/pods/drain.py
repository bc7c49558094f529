"""The preStop hook of an engine: waits until the running requests have finished."""

from __future__ import annotations

GRACE_SECONDS = 300
"""``terminationGracePeriodSeconds``: Kubernetes kills the pod after this time."""

_DRAIN_SECONDS = GRACE_SECONDS - 20
"""How long the hook waits for requests. The engine has the rest of the grace period to stop."""

_SCRIPT = """\
fetch() {{
  if command -v curl >/dev/null; then
    curl -s --max-time 2 "$1"
  else
    python3 -c 'import sys, urllib.request as url
print(url.urlopen(sys.argv[1], timeout=2).read().decode())' "$1" 2>/dev/null
  fi
}}
total() {{
  printf '%s\\n' "$metrics" |
    awk -v name="$1" '$1 == name || index($0, name "{{") == 1 {{n += $NF}} END {{print n + 0}}'
}}
say() {{
  echo "$1" 2>/dev/null >>/proc/1/fd/1 || true
}}
end=$(($(date +%s) + {patience}))
while [ "$(date +%s)" -lt "$end" ]; do
  metrics=$(fetch http://localhost:{port}/metrics) || metrics=
  running=$(total vllm:num_requests_running)
  waiting=$(total vllm:num_requests_waiting)
  if [ -z "$metrics" ] || [ "$running$waiting" = 00 ]; then
    say 'drained: no request is left'
    exit 0
  fi
  say "draining: running=$running waiting=$waiting"
  sleep 5
done
say 'not drained: requests were left when time ran out'
"""
"""Every engine image has python3, most have curl. A log line that cannot be written is dropped."""


def drain_script(port: int) -> str:
    """Returns a shell script that ends when the engine on ``port`` has no requests left.

    It also ends when the engine no longer answers, and 20 s before the end of the grace period, so
    it never blocks the pod from stopping.
    """
    return _SCRIPT.format(port=port, patience=_DRAIN_SECONDS)
