# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a burst are what the stand-in's log says."""

from __future__ import annotations

import burst
import pytest

BED = {"hosts": {"guide": {"addresses": ["192.0.2.1", "2001:db8::1"]}}}
LONE = {"started": 900.0, "sent": 1}


def event(what, at, **more):
    return {"what": what, "time": at, "client": "192.0.2.1", **more}


def accepted(sender, number, at):
    return event("smtp message", at, message_id=f"<{sender}.{number}@bench.test>")


def figures(monkeypatch, log, *, sent=10, waiting=(), bounced=0, drained=True):
    monkeypatch.setattr(burst, "bounces", lambda *_arguments: bounced)
    return burst.row(BED, "guide", log, LONE, {"started": 1000.0, "ended": 1001.0, "sent": sent, "refused": []}, set(waiting), drained, 6.0)


def test_the_small_sender_has_ten_messages_and_comes_last():
    wanted = burst.senders(1000)
    assert sum(wanted.values()) == 1000
    assert list(wanted)[-1] == burst.SMALL
    assert wanted[burst.SMALL] == 10


@pytest.mark.parametrize(("count", "seconds"), [(1, 0), (30, 0), (31, 6), (60, 6), (61, 12), (1000, 198)])
def test_the_limits_ask_for_one_window_for_every_thirty_after_the_first(count, seconds):
    assert burst.fastest(count, 6.0) == seconds


def test_what_is_nowhere_is_lost_and_what_came_again_came_twice(monkeypatch):
    log = [*(accepted("sender1", number, 1001.0 + number) for number in range(5)), accepted("sender1", 0, 1009.0)]
    row = figures(monkeypatch, log, waiting=["<sender1.4@bench.test>", "<sender1.5@bench.test>", "<sender1.6@bench.test>"], bounced=1)
    assert (row["accepted"], row["waiting"], row["twice"], row["bounced"], row["lost"]) == (5, 2, 1, 1, 2)


def test_a_lone_message_is_counted_by_itself(monkeypatch):
    row = figures(monkeypatch, [accepted(burst.LONE, 0, 900.7), accepted("sender1", 0, 1002.0)], sent=1)
    assert row["lone s"] == pytest.approx(0.7)
    assert (row["accepted"], row["lost"]) == (1, 0)


def test_the_small_senders_last_message_by_the_whole_drain(monkeypatch):
    log = [accepted(burst.SMALL, 0, 1001.0), accepted(burst.SMALL, 1, 1002.0), accepted("sender1", 0, 1020.0)]
    assert figures(monkeypatch, log, sent=3)["small %"] == pytest.approx(10.0)


def test_other_hosts_and_other_times_do_not_count(monkeypatch):
    log = [{**accepted("sender1", 0, 1001.0), "client": "192.0.2.9"}, event("smtp refused", 950.0, result="smtp_server_busy"),
           event("smtp refused", 1003.0, result="smtp_server_busy")]
    row = figures(monkeypatch, log, drained=False)
    assert (row["accepted"], row["throttled"]) == (0, 1)
    assert row["throttling replies"] == {"smtp_server_busy": 1}
