# SPDX-License-Identifier: GPL-3.0-or-later
"""When a message may go: whatever arrives when, no window ever holds more than is allowed, and nobody waits without need."""

from __future__ import annotations

import collections
import random

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _pacer_window
from ansible_collections.simple_m365.relay.plugins.module_utils._pacer_window import Window, take, wake_at


def run(window, arrivals):
    """Let messages (when, bulk or not) arrive; return [(when it went, name)] in the order in which they went."""
    went, now = [], 0.0
    arrivals = collections.deque(sorted((at, bulk, number) for number, (at, bulk) in enumerate(arrivals)))
    while arrivals or _pacer_window.waiting(window):
        while arrivals and arrivals[0][0] <= now:
            at, bulk, number = arrivals.popleft()
            (window.bulk if bulk else window.prompt).append((at, bulk, number))
        while (name := take(window, now)) is not None:
            went.append((now, name))
        due = [time for time in (wake_at(window, now), arrivals[0][0] if arrivals else None) if time is not None]
        now = max(min(due), now + 1e-6) if due else now
    return went


def most_in_a_window(times, seconds):
    """Return the largest number of messages in any window."""
    first, most = 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds + 1e-6:    # sums of fractions are a little off
            first += 1
        most = max(most, last - first + 1)
    return most


def test_however_messages_arrive_no_window_has_more_than_allowed_and_each_lane_keeps_its_order():
    chance = random.Random(4)
    for _turn in range(300):
        limit, seconds = chance.randint(1, 40), chance.choice([0.5, 6.2, 62.0])
        spread = seconds * chance.choice([0.0, 0.3, 3, 20])
        arrivals = [(chance.uniform(0, spread), chance.random() < 0.5) for _number in range(chance.randint(1, 150))]
        went = run(Window(limit, seconds), arrivals)
        assert len(went) == len(arrivals)
        assert most_in_a_window([when for when, _name in went], seconds) <= limit
        for bulk in (False, True):
            own = [name for _when, name in went if name[1] is bulk]
            assert own == sorted(own)


def test_prompt_mail_never_waits_while_the_window_has_room():
    chance = random.Random(5)
    for _turn in range(200):
        limit, seconds = chance.randint(1, 40), 62.0
        went = run(Window(limit, seconds), [(chance.uniform(0, 300), False) for _number in range(chance.randint(1, 200))])
        times = [when for when, _name in went]
        for index, (when, (arrived, _bulk, _number)) in enumerate(went):
            full = index >= limit and times[index - limit] + seconds > arrived
            assert when - arrived < 1e-3 or (full and when - times[index - limit] - seconds < 1e-3)


@pytest.mark.parametrize("bulk", [False, True])
def test_a_lone_message_goes_at_once(bulk):
    assert [when for when, _name in run(Window(30, 62.0), [(1000.0 * number, bulk) for number in range(1, 20)])] == [1000.0 * number for number in range(1, 20)]


@pytest.mark.parametrize("bulk", [False, True])
def test_a_burst_uses_the_whole_rate(bulk):
    times = [when for when, _name in run(Window(30, 62.0), [(0.0, bulk)] * 1000)]
    assert times[-1] <= 1000 / 30 * 62.0
    assert most_in_a_window(times, 62.0) == 30


def test_one_message_in_five_is_bulk_while_both_lanes_are_full():
    went = run(Window(30, 62.0), [(0.0, False)] * 200 + [(0.0, True)] * 200)
    bulk = [name[1] for _when, name in went]
    assert sum(bulk[:200]) in range(39, 42)
    assert max(len(prompts) for prompts in "".join("b" if one else "p" for one in bulk[:200]).split("b")) == _pacer_window.PROMPT_TURNS


def test_prompt_mail_finds_room_beside_a_long_burst_of_bulk_mail():
    prompt = [(200.0 + 37 * number, False) for number in range(20)]
    went = run(Window(30, 62.0), [(0.0, True)] * 800 + prompt)
    waits = [when - name[0] for when, name in went if not name[1]]
    assert max(waits) <= 2 * 62.0 / 30 + 1e-3


def test_a_bulk_message_that_gave_up_finds_its_turn_when_it_comes_again():
    window = Window(1, 60.0)
    window.prompt.extend(range(100))
    gone = 0
    for minute in range(10):
        window.bulk.append("bulk")
        if take(window, minute * 60.0) == "bulk":
            gone += 1
        elif window.bulk:
            window.bulk.clear()    # it lost its patience
    assert gone == 2


def test_without_a_limit_everything_goes_at_once():
    window = Window(0, 62.0)
    assert {when for when, _name in run(window, [(5.0, number % 2 == 0) for number in range(1000)])} == {5.0}
    assert not window.gone


def test_a_smaller_limit_counts_what_has_gone():
    window = Window(30, 62.0)
    window.prompt.extend(range(31))
    while take(window, 0.0) is not None:
        pass
    window.messages = 10
    assert take(window, 61.0) is None
    assert wake_at(window, 61.0) == 62.0
    assert take(window, 62.0) == 30
