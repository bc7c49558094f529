"""Which requests the webhook ends when they hold too much, or are too many."""

from __future__ import annotations

from webhook.traffic import PATIENCE_SECONDS, Gate

MOST_BYTES = 100


class Request:
    """A request under way.

    Args:
        gate: the gate that it is in.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.is_ended = False

    def shed(self) -> None:
        self.is_ended = True
        self._gate.leave(self)


class Room:
    """A gate whose clock the test sets."""

    def __init__(self, most: int = 3) -> None:
        self.now = 0.0
        self.gate = Gate(MOST_BYTES, most, lambda: self.now)

    def entered(self, size: int = 0) -> Request:
        request = Request(self.gate)
        assert self.gate.enter(request)
        assert self.gate.hold(request, size)
        return request


def test_bytes_are_counted_over_all_requests_until_they_leave() -> None:
    room = Room()
    first, second = room.entered(40), room.entered(60)
    assert room.gate.held_bytes == 100
    room.gate.leave(first)
    room.gate.leave(first)
    assert room.gate.held_bytes == 60
    assert room.gate.hold(second, 40)
    assert room.gate.held_bytes == 100


def test_a_new_request_takes_the_memory_of_a_large_one_that_waits() -> None:
    room = Room()
    large, small = room.entered(80), room.entered(20)
    room.now = 5
    new = room.entered(70)
    assert large.is_ended
    assert not small.is_ended
    assert not new.is_ended
    assert room.gate.held_bytes == 90


def test_of_requests_that_are_equally_young_the_largest_is_ended() -> None:
    room = Room()
    room.entered(60)
    small = room.entered(30)
    asks = Request(room.gate)
    assert room.gate.enter(asks)
    assert not room.gate.hold(asks, 70)
    assert not small.is_ended
    assert room.gate.held_bytes == 90


def test_a_request_that_needs_more_than_others_together_is_ended_itself() -> None:
    room = Room()
    small, growing = room.entered(10), room.entered(80)
    room.now = 1
    assert not room.gate.hold(growing, 20)
    assert not small.is_ended


def test_past_the_number_a_request_is_refused_until_one_has_waited_too_long() -> None:
    room = Room(most=2)
    waiting = [room.entered(), room.entered()]
    room.now = PATIENCE_SECONDS / 2
    assert not room.gate.enter(Request(room.gate))
    assert [each.is_ended for each in waiting] == [False, False]
    room.now = PATIENCE_SECONDS
    room.entered()
    assert [each.is_ended for each in waiting] == [True, False]
