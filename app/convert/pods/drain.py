"""The preStop hooks of engines: they wait until the running requests have finished."""

from __future__ import annotations

from functools import lru_cache

GRACE_SECONDS = 300
"""``terminationGracePeriodSeconds``: Kubernetes kills the pod after this time."""

FOLLOWER_GRACE_SECONDS = GRACE_SECONDS + 30
"""The same of the other pods of a group, which must outlive the pod that takes the requests."""

BLIND_SECONDS = 60
"""How long the hook waits for an engine that does not tell how many requests it has."""

_STOP_SECONDS = 20
"""The part of the grace period that is left to the engine to stop."""

_INTERVAL_SECONDS = 5

REQUEST_METRICS = {
    "vllm": ("vllm:num_requests_running", "vllm:num_requests_waiting"),
    "sglang": ("sglang:num_running_reqs", "sglang:num_queue_reqs"),
}
"""The gauges of running and waiting requests, by engine."""

_FETCH = """\
fetch() {{
  if command -v curl >/dev/null; then
    curl -sk --max-time 2 "$1"
  else
    python3 -c 'import socket, ssl, sys, urllib.error, urllib.request as url
try:
    context = ssl._create_unverified_context()
    print(url.urlopen(sys.argv[1], timeout=2, context=context).read().decode())
except urllib.error.HTTPError:
    pass
except OSError as exc:
    why = getattr(exc, "reason", exc)
    sys.exit(28 if isinstance(why, TimeoutError) else 6 if isinstance(why, socket.gaierror) else 7)
' "$1" 2>/dev/null
  fi
}}
say() {{
  echo "$1" 2>/dev/null >>/proc/1/fd/1 || true
}}
begin=$(date +%s)
end=$((begin + {patience}))
"""
"""Fetches a URL; the exit status is that of curl: 28 for a timeout, 6 for an unknown host.

Every engine image has python3, most have curl. An answer with an HTTP error counts as an empty one.
The engine is this pod or its group, so certificates are not checked. A log line that cannot be
written is dropped.
"""

_DRAIN = (
    _FETCH
    + """\
total() {{
  printf '%s\\n' "$metrics" |
    awk -v name="$1" '$1 == name || index($0, name "{{") == 1 {{n += $NF; seen = 1}}
      END {{print seen ? n + 0 : "unknown"}}'
}}
idle=
now=$begin
while [ "$now" -lt "$end" ]; do
  metrics=$(fetch {url}/metrics)
  case $? in
  0)
    running=$(total {running})
    waiting=$(total {waiting})
    ;;
  28)
    running=unanswered
    waiting=unanswered
    ;;
  126 | 127)
    running=unknown
    waiting=unknown
    ;;
  *)
    say 'drained: the engine does not answer any more'
    exit 0
    ;;
  esac
  case "$running $waiting" in
  '0 0')
    idle=${{idle:-$now}}
    if [ $((now - idle)) -ge {settle} ]; then
      say 'drained: no request is left'
      exit 0
    fi
    ;;
  *unknown*)
    if [ $((now - begin)) -ge {blind} ]; then
      say 'not known to be drained: the engine has no metrics of its requests; waited {blind} s'
      exit 0
    fi
    ;;
  *) idle= ;;
  esac
  say "draining: running=$running waiting=$waiting"
  sleep {interval}
  now=$(date +%s)
done
say 'not drained: requests were left when time ran out'
"""
)

_FOLLOW = (
    _FETCH
    + """\
while [ "$(date +%s)" -lt "$end" ]; do
  fetch "{scheme}://$ENTRY_ADDRESS:{port}/health" >/dev/null
  case $? in
  0 | 6 | 28) ;;
  126 | 127) say 'waiting for the first pod of the group without a way to ask it' ;;
  *)
    say 'the first pod of the group does not answer any more'
    exit 0
    ;;
  esac
  sleep {interval}
done
say 'the first pod of the group still answers, but time ran out'
"""
)


@lru_cache(maxsize=256)
def drain_script(
    port: int,
    *,
    scheme: str = "http",
    engine: str = "vllm",
    settle_seconds: int = 0,
) -> str:
    """Returns a shell script that ends when the engine on ``port`` has no requests left.

    It also ends when the engine no longer answers, and 20 s before the end of the grace period, so
    it never blocks the pod from stopping. If the engine answers without the metrics, the number of
    its requests is unknown; the script then waits for ``BLIND_SECONDS``.

    Args:
        port: the port of the engine.
        scheme: ``https`` if the engine uses TLS, otherwise ``http``.
        engine: ``vllm`` or ``sglang``, which have other metrics.
        settle_seconds: how long the engine must have been without requests.
    """
    running, waiting = REQUEST_METRICS[engine]
    return _DRAIN.format(
        url=f"{scheme}://localhost:{port}",
        running=running,
        waiting=waiting,
        settle=settle_seconds,
        blind=BLIND_SECONDS,
        interval=_INTERVAL_SECONDS,
        patience=GRACE_SECONDS - _STOP_SECONDS,
    )


@lru_cache(maxsize=256)
def follower_drain_script(port: int, *, scheme: str = "http") -> str:
    """Returns a shell script that ends when the first pod of the group no longer answers.

    The serving controller deletes all pods of a group at once, and an engine over several nodes
    ends with its first missing pod. The script also ends shortly before the grace period of a
    follower. A name that cannot be resolved proves nothing, because the Service of the group may be
    deleted before the pod.

    Args:
        port: the port of the engine in the first pod.
        scheme: ``https`` if the engine uses TLS, otherwise ``http``.
    """
    return _FOLLOW.format(
        port=port,
        scheme=scheme,
        interval=_INTERVAL_SECONDS,
        patience=FOLLOWER_GRACE_SECONDS - _STOP_SECONDS,
    )
