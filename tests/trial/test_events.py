"""Events of a child: read from its pipe, and waited for within a time limit."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from perfkit.trial.events import EventStream, TimeIsUpError
from perfkit.trial.messages import Channel, Event, EventKind


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose write end is closed after the test, so that the reading thread ends."""
    read_end, write_end = os.pipe()
    yield read_end, write_end
    with suppress(OSError):
        os.close(write_end)


def test_half_an_event_of_a_killed_child_is_ignored(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    stream = EventStream(read_end)
    os.write(write_end, b'{"kind": "ready", "data": {}}\n{"kind": "chec')
    os.close(write_end)
    assert stream.next() == Event(EventKind.READY)
    assert stream.next() is None


def test_only_waiting_uses_up_the_time_limit(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    stream = EventStream(read_end, time_limit_s=0.3)
    time.sleep(0.5)
    Channel(write_end).send(EventKind.READY)
    assert stream.next() == Event(EventKind.READY)
    with pytest.raises(TimeIsUpError):
        stream.next()


def test_time_in_which_perfkit_itself_was_held_up_does_not_count(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    # An hour passes between two looks at the clock, as on a machine that sleeps.
    hours_s = iter(range(0, 10**9, 3600))
    stream = EventStream(read_end, time_limit_s=60, clock=lambda: next(hours_s), slice_s=0.01)
    threading.Timer(0.05, Channel(write_end).send, (EventKind.READY,)).start()
    assert stream.next() == Event(EventKind.READY)


def test_events_that_have_arrived_are_taken_without_waiting(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    stream = EventStream(read_end)
    assert stream.drain() == []
    channel = Channel(write_end)
    channel.send(EventKind.READY)
    channel.send(EventKind.NOTICES, notices=["a table is made again"])
    os.close(write_end)
    while len(events := stream.drain()) == 0:
        time.sleep(0.01)
    while len(events) < 2:
        events += stream.drain()
    notices = Event(EventKind.NOTICES, {"notices": ["a table is made again"]})
    assert events == [Event(EventKind.READY), notices]
