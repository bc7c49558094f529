"""What a pod does before it stops: it finishes the requests that it has."""

from __future__ import annotations

GRACE_SECONDS = 300
"""How long Kubernetes waits for a pod to stop before it kills it."""

_PAUSE_SECONDS = 5
_LAST_LOOK = (GRACE_SECONDS - 20) // _PAUSE_SECONDS
"""Looks after which the pod stops all the same: some of the grace is left to the engine itself."""

_SCRIPT = """\
total() {{
  printf '%s\\n' "$metrics" |
    awk -v name="$1" '$1 == name || index($0, name "{{") == 1 {{n += $NF}} END {{print n + 0}}'
}}
say() {{
  echo "$1" 2>/dev/null >>/proc/1/fd/1 || true
}}
look=0
while [ "$look" -lt {looks} ]; do
  metrics=$(curl -s --max-time 2 http://localhost:{port}/metrics) || metrics=
  running=$(total vllm:num_requests_running)
  waiting=$(total vllm:num_requests_waiting)
  if [ -z "$metrics" ] || [ "$running$waiting" = 00 ]; then
    say 'drained: no request is left'
    exit 0
  fi
  say "draining: running=$running waiting=$waiting"
  look=$((look + 1))
  sleep {pause}
done
say 'not drained: requests were left when time ran out'
"""


def drain_script(port: int) -> str:
    """Returns a shell script that ends when the engine on ``port`` has no request left.

    It also ends when the engine does not answer any more, and some time before the grace period
    does; so it never keeps a pod from stopping.
    """
    return _SCRIPT.format(port=port, looks=_LAST_LOOK, pause=_PAUSE_SECONDS)
