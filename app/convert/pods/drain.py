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
    curl -sk --noproxy '*' --max-time 5 "$1"
  else
    python3 -c 'import errno, ssl, sys, urllib.error, urllib.request as web
https = web.HTTPSHandler(context=ssl._create_unverified_context())
try:
    answer = web.build_opener(web.ProxyHandler({{}}), https).open(sys.argv[1], timeout=5)
    print(answer.read().decode())
except urllib.error.HTTPError:
    pass
except OSError as exc:
    code = getattr(getattr(exc, "reason", exc), "errno", None)
    sys.exit(7 if code in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL) else 28)' "$1" 2>/dev/null
  fi
}}
say() {{
  echo "$1" 2>/dev/null >>/proc/1/fd/1 || true
}}
begin=$(date +%s)
end=$((begin + {patience}))
"""
"""Fetches a URL; the exit status is that of curl: 7 if nothing listens there.

Every engine image has python3, most have curl. An answer with an HTTP error counts as an empty one.
The engine is in this pod, so certificates are not checked, and the proxy that ``env`` may name for
downloads is not asked. A log line that cannot be written is dropped.
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
  7)
    say 'drained: the engine does not answer any more'
    exit 0
    ;;
  126 | 127)
    running=unknown
    waiting=unknown
    ;;
  *)
    running=unanswered
    waiting=unanswered
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

_FOLLOW = """\
import os, socket, sys, time

PORT, PATIENCE, PAUSE = {port}, {patience}, {pause}


def say(text):
    try:
        with open("/proc/1/fd/1", "a") as log:
            log.write(text + "\\n")
    except OSError:
        pass


def named():
    try:
        found = socket.getaddrinfo(os.environ["ENTRY_ADDRESS"], PORT, type=socket.SOCK_STREAM)
    except (KeyError, OSError):
        return set()
    return {{address[0] for *_, address in found}}


def connected():
    peers = set()
    for table, family in ("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6):
        try:
            with open("/proc/net/" + table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            if row[3] == "01":
                digits = row[2].partition(":")[0]
                parts = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
                packed = b"".join(part.to_bytes(4, sys.byteorder) for part in parts)
                peers.add(socket.inet_ntop(family, packed))
    return peers


def listens(host):
    try:
        socket.create_connection((host, PORT), 3).close()
    except OSError:
        return False
    return True


end = time.monotonic() + PATIENCE
leaders = [host for host in named() or connected() if listens(host)]
missed = 0
if leaders:
    say("draining: the first pod of the group still answers")
while leaders and missed < 3 and time.monotonic() < end:
    time.sleep(PAUSE)
    missed = 0 if any(map(listens, leaders)) else missed + 1
if leaders and missed < 3:
    say("not drained: the first pod of the group still answered when time ran out")
else:
    say("drained: the first pod of the group does not answer any more")
"""
"""The serving controller deletes the Service of a group together with its pods. So the name in
ENTRY_ADDRESS soon has no address, although the first pod still serves. Then the first pod is that
which listens on the engine's port, of all addresses to which this pod is connected (state 01)."""


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
    before, after = _around_port(scheme, engine, settle_seconds)
    return f"{before}{port}{after}"


@lru_cache(maxsize=16)
def _around_port(scheme: str, engine: str, settle_seconds: int) -> tuple[str, str]:
    """Returns the script before and after the port of the engine, which differs most often."""
    running, waiting = REQUEST_METRICS[engine]
    before, _, after = _DRAIN.format(
        url=f"{scheme}://localhost:{_PORT}",
        running=running,
        waiting=waiting,
        settle=settle_seconds,
        blind=BLIND_SECONDS,
        interval=_INTERVAL_SECONDS,
        patience=GRACE_SECONDS - _STOP_SECONDS,
    ).partition(_PORT)
    return before, after


_PORT = "<port>"


@lru_cache(maxsize=256)
def follower_drain_script(port: int, *, seconds: float | None = None, pause: float = 5) -> str:
    """Returns a Python script that ends when the first pod of the group no longer answers.

    The serving controller deletes all pods of a group at once, and an engine over several nodes
    ends with its first missing pod. The script also ends shortly before the grace period of a
    follower.

    Args:
        port: the port of the engine in the first pod.
        seconds: how long it waits at most; by default until shortly before the end of the grace
            period.
        pause: seconds between two attempts to connect.
    """
    if seconds is None:
        seconds = FOLLOWER_GRACE_SECONDS - _STOP_SECONDS
    return _FOLLOW.format(port=port, patience=seconds, pause=pause)
