"""Which requests the webhook evicts when they hold too much memory, or are too many."""

from __future__ import annotations

from webhook.limiter import EVICTION_SECONDS, InFlightLimiter

MAX_BYTES = 100


class Request:
    """A request in flight.

    Args:
        limiter: the limiter that counts it.
    """

    def __init__(self, limiter: InFlightLimiter) -> None:
        self._limiter = limiter
        self.is_evicted = False

    def evict(self) -> None:
        self.is_evicted = True
        self._limiter.finish(self)


class Fixture:
    """A limiter whose clock the test sets."""

    def __init__(self, max_requests: int = 3) -> None:
        self.now = 0.0
        self.limiter = InFlightLimiter(MAX_BYTES, max_requests, lambda: self.now)

    def start(self, size: int = 0) -> Request:
        request = Request(self.limiter)
        assert self.limiter.start(request)
        assert self.limiter.reserve(request, size)
        return request


def test_bytes_are_reserved_until_their_requests_finish() -> None:
    fixture = Fixture()
    first, second = fixture.start(40), fixture.start(60)
    assert fixture.limiter.reserved_bytes == 100
    fixture.limiter.finish(first)
    fixture.limiter.finish(first)
    assert fixture.limiter.reserved_bytes == 60
    assert fixture.limiter.reserve(second, 40)
    assert fixture.limiter.reserved_bytes == 100


def test_a_new_request_evicts_a_large_one_that_waits() -> None:
    fixture = Fixture()
    large, small = fixture.start(80), fixture.start(20)
    fixture.now = 5
    new = fixture.start(70)
    assert large.is_evicted
    assert not small.is_evicted
    assert not new.is_evicted
    assert fixture.limiter.reserved_bytes == 90


def test_the_largest_of_equally_young_requests_is_refused() -> None:
    fixture = Fixture()
    fixture.start(60)
    small = fixture.start(30)
    new = Request(fixture.limiter)
    assert fixture.limiter.start(new)
    assert not fixture.limiter.reserve(new, 70)
    assert not small.is_evicted
    assert fixture.limiter.reserved_bytes == 90


def test_a_request_that_is_the_most_expensive_itself_is_refused() -> None:
    fixture = Fixture()
    small, growing = fixture.start(10), fixture.start(80)
    fixture.now = 1
    assert not fixture.limiter.reserve(growing, 20)
    assert not small.is_evicted


def test_a_full_limiter_refuses_requests_until_one_has_waited_too_long() -> None:
    fixture = Fixture(max_requests=2)
    waiting = [fixture.start(), fixture.start()]
    fixture.now = EVICTION_SECONDS / 2
    assert not fixture.limiter.start(Request(fixture.limiter))
    assert [each.is_evicted for each in waiting] == [False, False]
    fixture.now = EVICTION_SECONDS
    fixture.start()
    assert [each.is_evicted for each in waiting] == [True, False]
