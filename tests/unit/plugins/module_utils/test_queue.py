# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in the queue and why, from Postfix's own files and from postqueue."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _queue

NOW = 1795475310
REFUSED = "connect to smtp.office365.com[192.0.2.2]:587: Connection refused"
BUSY = ("host smtp.office365.com[192.0.2.2] said: 451 4.7.500 Server busy. Please try again later from [192.0.2.9]. (AS77714{n}) [AM{n} x] "
        "(in reply to MAIL FROM command)")


def message(queue_id="4jYM7858XDz17rl8", queue="deferred", reason=REFUSED, sender="scans@corp.test", recipient="alice@partner.test", arrived=NOW - 60):
    """Return a message as postqueue tells it."""
    recipient = {"address": recipient, **({"delay_reason": reason} if reason else {})}
    return {"queue_name": queue, "queue_id": queue_id, "arrival_time": arrived, "message_size": 5, "sender": sender, "recipients": [recipient]}


@pytest.fixture
def spool(tmp_path):
    """A queue directory, and a function that puts a message into it."""
    def put(queue_id, queue="deferred", reasons=()):
        for folder, text in [(queue, "")] + ([("defer", "".join(f"<a@b.test>: {reason}\nreason={reason}\n\n" for reason in reasons))] if reasons else []):
            (tmp_path / folder / queue_id[0]).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / queue_id[0] / queue_id).write_text(text)
    return tmp_path, put


def test_an_empty_queue_is_empty(spool):
    assert _queue.summary(str(spool[0]), NOW) == {
        "total": 0, "by_queue": {"incoming": 0, "active": 0, "deferred": 0, "hold": 0}, "oldest": None, "causes": []}


def test_deferrals_are_counted_by_their_cause_and_not_by_their_words(spool):
    directory, put = spool
    for number in range(3):
        put(f"4jYM7858XDz17rl{number}", reasons=[BUSY.format(n=number)])
    put("4jYM7858XDz17rl8", reasons=[REFUSED, REFUSED])
    put("4jYM6858XDz17rl8", queue="hold")
    found = _queue.summary(str(directory), NOW)
    assert [(cause["name"], cause["messages"]) for cause in found["causes"]] == [("server_busy", 3), ("smtp_port_closed", 1)]
    assert found["by_queue"] == {"incoming": 0, "active": 0, "deferred": 4, "hold": 1}
    assert found["oldest"]["queue_id"] == "4jYM6858XDz17rl8"


def test_what_is_left_of_a_message_that_has_gone_counts_nothing(spool):
    spool[1]("4jYM7858XDz17rl8", queue="defer", reasons=[REFUSED])
    assert _queue.summary(str(spool[0]), NOW)["causes"] == []


def test_a_reason_without_an_entry_has_a_name_too(spool):
    spool[1]("4jYM7858XDz17rl8", reasons=["something new"])
    assert _queue.summary(str(spool[0]), NOW)["causes"] == [{"name": "other", "messages": 1, "reason": "something new"}]


def test_a_long_queue_id_tells_when_the_message_came(tmp_path):
    assert _queue.arrival("4jYM7858XDz17rl8", "/nowhere") == 1795475300


def test_a_short_queue_id_has_the_time_of_its_file(tmp_path):
    (tmp_path / "A1B2C3D4E5").write_text("")
    assert _queue.arrival("A1B2C3D4E5", tmp_path / "A1B2C3D4E5") == (tmp_path / "A1B2C3D4E5").stat().st_ctime


CHOICES = {
    "all": ({}, [1, 2, 3]),
    "a cause": ({"cause": "smtp_port_closed"}, [1]),
    "a sender": ({"sender": "SCANS@*"}, [1, 3]),
    "a recipient": ({"recipient": "*@other.test"}, [2]),
    "an age": ({"older_than": 100}, [3]),
    "an id": ({"ids": ["2"]}, [2]),
    "all of them": ({"sender": "scans@*", "older_than": 100}, [3]),
    "nothing fits": ({"cause": "mailbox_full"}, []),
}


@pytest.mark.parametrize(("asked", "expected"), CHOICES.values(), ids=CHOICES)
def test_messages_are_chosen(asked, expected):
    messages = [message("1"), message("2", reason=None, sender="", recipient="x@other.test"), message("3", reason="new", arrived=NOW - 200)]
    assert [item["queue_id"] for item in _queue.choose(messages, NOW, **asked)] == [str(number) for number in expected]


@pytest.fixture
def ran(monkeypatch):
    """What was run, and a Postfix that says that it did it."""
    calls = []

    def run(argv, stdin=None, **_options):
        calls.append((argv, stdin))
        return subprocess.CompletedProcess(argv, 0, b"", b"postsuper: Placed on hold: 2 messages\n")
    monkeypatch.setattr(_queue, "run", run)
    return calls


def test_ids_go_through_standard_input(ran):
    assert _queue.act("hold", [message("A"), message("B")]) == 2
    assert ran == [(["postsuper", "-h", "-"], b"A\nB\n")]


def test_only_deferred_messages_are_flushed(ran):
    assert _queue.act("flush", [message("A"), message("B", queue="hold")]) == 1
    assert ran == [(["postqueue", "-i", "A"], None)]


def test_nothing_is_run_for_no_message(ran):
    assert _queue.act("delete", []) == 0
    assert ran == []


@pytest.mark.parametrize("queue_id", ["", "-d", "../x", "ALL", "a b"])
def test_what_is_no_queue_id_is_not_shown(ran, queue_id):
    with pytest.raises(ValueError, match="is not a queue id"):
        _queue.show(queue_id)
    assert ran == []


def test_the_queue_is_read_as_json(monkeypatch):
    lines = b'{"queue_id": "A"}\n{"queue_id": "B"}\n'
    monkeypatch.setattr(_queue, "run", lambda argv, **_options: subprocess.CompletedProcess(argv, 0, lines, b""))
    assert [item["queue_id"] for item in _queue.read()] == ["A", "B"]
