# SPDX-License-Identifier: GPL-3.0-or-later
"""One sender's thousand never make another one wait: the lanes, simulated with a mailbox that sends as fast as it may."""

from __future__ import annotations

import collections

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_lanes as lanes

MAILBOX, RATE = "scans@corp.test", 30
BURST = {"a": 500, "b": 300, "c": 150, "d": 40, "e": 10}


def hand_in(arrivals):
    """Give (second, sender) of arrivals to the lanes; return (second, sender, number of that sender, bulk)."""
    lines, numbers = {}, collections.Counter()
    handed = []
    for second, sender in arrivals:
        numbers[sender] += 1
        handed.append((second, sender, numbers[sender], lanes.is_bulk(lines, MAILBOX, sender, RATE, second)))
    return handed


def drain(handed):
    """Send as the relay does: one message every two seconds, four prompt ones for each bulk one while both wait. Return (second, sender, number) as sent."""
    waiting, coming, sent, turn, second = {False: collections.deque(), True: collections.deque()}, collections.deque(handed), [], 0, 0
    while coming or waiting[False] or waiting[True]:
        while coming and coming[0][0] <= second:
            waiting[coming[0][3]].append(coming.popleft())
        if waiting[False] or waiting[True]:
            bulk = bool(waiting[True]) and (not waiting[False] or turn % 5 == 4)
            turn += 1
            sent.append((second, *waiting[bulk].popleft()[1:3]))
        second += 60 / RATE
    return sent


@pytest.fixture(scope="module")
def burst():
    """A thousand messages at once, the sender with the most first."""
    return hand_in([(0, sender) for sender, count in BURST.items() for _turn in range(count)])


def test_the_sender_with_ten_is_done_within_the_first_tenth(burst):
    sent = drain(burst)
    assert len(sent) == 1000
    assert max(position for position, (_second, sender, _number) in enumerate(sent, start=1) if sender == "e") <= 100
    assert max(second for second, sender, _number in sent if sender == "e") <= max(second for second, *_rest in sent) / 10


def test_the_same_when_it_comes_in_the_middle_of_the_work():
    arrivals = [(0, "a") for _turn in range(900)] + [(600 + turn, "e") for turn in range(10)]
    sent = drain(hand_in(arrivals))
    assert max(second for second, sender, _number in sent if sender == "e") <= 600 + 10 + 60


def test_everything_is_sent_once_and_nobody_overtakes_itself_by_more_than_a_few(burst):
    order = collections.defaultdict(list)
    for _second, sender, number in drain(burst):
        order[sender].append(number)
    for sender, numbers in order.items():
        assert sorted(numbers) == list(range(1, BURST[sender] + 1))
        late = [sum(later < number for later in numbers[place:]) for place, number in enumerate(numbers)]
        assert max(late) <= lanes.FEW
        # Only from one lane to the other is there any overtaking.
        assert [number for number in numbers if number > lanes.FEW] == list(range(lanes.FEW + 1, BURST[sender] + 1))


def test_nobody_overtakes_itself_when_it_becomes_prompt_again():
    arrivals = [(0, "a")] * 100 + [(second, "a") for second in range(150, 400, 10)]
    numbers = [number for _second, _sender, number in drain(hand_in(arrivals)) if number > lanes.FEW]
    assert numbers == sorted(numbers)


def test_who_sends_now_and_then_is_prompt():
    assert not any(bulk for *_rest, bulk in hand_in([(20 * turn, "a") for turn in range(500)]))


def test_a_steady_sender_stays_prompt_while_another_ones_thousand_wait():
    handed = hand_in([(0, "a")] * 1000 + [(12 * turn, "e") for turn in range(100)])
    assert not any(bulk for _second, sender, _number, bulk in handed if sender == "e")


def test_the_eleventh_at_once_is_bulk_and_so_is_everything_until_the_work_is_over():
    handed = hand_in([(0, "a")] * 30 + [(59, "a"), (63, "a")])
    assert [bulk for *_rest, bulk in handed] == [False] * 10 + [True] * 20 + [True, False]


def test_mailboxes_do_not_know_each_other():
    lines = {}
    for _turn in range(20):
        lanes.is_bulk(lines, MAILBOX, "a", RATE, 0)
    assert not lanes.is_bulk(lines, "other@corp.test", "a", RATE, 0)


def test_a_faster_mailbox_is_done_sooner():
    lines = {}
    for _turn in range(100):
        lanes.is_bulk(lines, MAILBOX, "a", 6000, 0)
    assert not lanes.is_bulk(lines, MAILBOX, "a", 6000, 1)


def test_without_a_limit_everybody_is_prompt():
    lines = {}
    assert not any(lanes.is_bulk(lines, MAILBOX, "a", 0, 0) for _turn in range(100))
