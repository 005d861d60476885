# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pacer remembers over a restart, a kill, a new boot and a clock that jumps; and what it counts in the journal."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _pacer_day, _pacer_state

MAILBOX = "scans@corp.test"
LIMIT = {"messages": 30, "seconds": 60, "margin": 2, "recipients_per_day": 10000}
LANES = {"m365-scans_corp_test": MAILBOX, "m365-scans_corp_test-bulk": MAILBOX, "m365-billing_corp_test": "billing@corp.test"}
SENT = "4jYMZ: to=<a@b.test>, relay=smtp.office365.com[192.0.2.1]:587, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 OK)"


@pytest.fixture
def clocks(monkeypatch):
    """Clocks that stand where the test puts them."""
    now = {"boot": "first", "clock": 1000.0, "time": 1_800_000_000.0}
    monkeypatch.setattr(_pacer_state, "boot", lambda: now["boot"])
    monkeypatch.setattr(_pacer_state, "boot_clock", lambda: now["clock"])
    monkeypatch.setattr(_pacer_state.time, "time", lambda: now["time"])
    return now


CLOCKS = {
    "a restart a second later": ({"clock": 1001.0, "time": 1_800_000_001.0}, [990.0, 1000.0]),
    "a restart, the time of day set back a day": ({"clock": 1001.0, "time": 1_799_913_601.0}, [990.0, 1000.0]),
    "a restart, the time of day set forward a year": ({"clock": 1001.0, "time": 1_831_536_001.0}, [990.0, 1000.0]),
    "a new boot after 40 seconds": ({"boot": "second", "clock": 15.0, "time": 1_800_000_040.0}, [-35.0, -25.0]),
    "a new boot with the time of day in the past": ({"boot": "second", "clock": 15.0, "time": 1_700_000_000.0}, [15.0, 15.0]),
}


@pytest.mark.parametrize(("then", "gone"), CLOCKS.values(), ids=CLOCKS)
def test_what_went_is_known_afterwards(tmp_path, clocks, then, gone):
    _pacer_state.save_windows(tmp_path, {MAILBOX: [990.0, 1000.0]})
    clocks.update(then)
    assert _pacer_state.load_windows(tmp_path) == ({MAILBOX: gone}, "")


UNREADABLE = ["", "{", "[]", '{"boot": "first"}', '{"boot": "first", "clock": 1, "time": 1, "gone": {"a": ["b"]}}', '{"gone": 1, "boot": "first"}']


@pytest.mark.parametrize("content", UNREADABLE)
def test_what_cannot_be_read_is_a_window_to_wait_out(tmp_path, clocks, content):
    (tmp_path / _pacer_state.WINDOWS).write_text(content, encoding="utf-8")
    gone, problem = _pacer_state.load_windows(tmp_path)
    assert gone == {None: True}
    assert _pacer_state.WINDOWS in problem


def test_a_first_start_waits_for_nothing(tmp_path):
    assert _pacer_state.load_windows(tmp_path) == ({}, "")


BROKEN = {
    "no lanes": {"limits": {MAILBOX: LIMIT}},
    "a lane without limits": {"limits": {}, "lanes": {"x": {"mailbox": MAILBOX, "bulk": False}}},
    "a limit in words": {"limits": {MAILBOX: {**LIMIT, "messages": "30"}}, "lanes": {}},
    "a limit that is a truth value": {"limits": {MAILBOX: {**LIMIT, "messages": True}}, "lanes": {}},
    "a limit below zero": {"limits": {MAILBOX: {**LIMIT, "recipients_per_day": -1}}, "lanes": {}},
    "no window": {"limits": {MAILBOX: {**LIMIT, "seconds": 0, "margin": 0}}, "lanes": {}},
    "a limit that is missing": {"limits": {MAILBOX: {"messages": 30}}, "lanes": {}},
    "a list": [],
}


@pytest.mark.parametrize("settings", BROKEN.values(), ids=BROKEN)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError):
        _pacer_state.check_settings(settings)


def test_what_was_counted_is_known_afterwards(tmp_path):
    day = {"hours": {MAILBOX: {"500000": 7}}, "cursor": "s=1", "read_at": 1_800_000_000.0}
    _pacer_state.save_day(tmp_path, day)
    assert _pacer_state.load_day(tmp_path, 5.0) == day


@pytest.mark.parametrize("content", ["", "[]", '{"hours": {"a": {"x": 1}}, "cursor": "", "read_at": 1}'])
def test_a_day_that_cannot_be_read_is_counted_from_the_journal_anew(tmp_path, content):
    (tmp_path / _pacer_state.DAY).write_text(content, encoding="utf-8")
    assert _pacer_state.load_day(tmp_path, 100_000.0) == {"hours": {}, "cursor": "", "read_at": 13_600.0}


# --- the journal ---

def entry(message, lane="m365-scans_corp_test", hour=500_000):
    """A line as journalctl prints it."""
    moment = str(hour * 3600 * 1_000_000)
    return json.dumps({"__CURSOR": "s=2", "__REALTIME_TIMESTAMP": moment, "SYSLOG_IDENTIFIER": f"postfix/{lane}/smtp", "MESSAGE": message})


MESSAGES = {
    "accepted": (SENT, 1),
    "accepted, an alias": (SENT.replace(", relay", ", orig_to=<root>, relay", 1), 1),
    "deferred": (SENT.replace("status=sent (250", "status=deferred (host said: 451").replace("dsn=2", "dsn=4"), 0),
    "bounced": (SENT.replace("status=sent (250", "status=bounced (554").replace("dsn=2", "dsn=5"), 0),
    "an address that looks like a success": ("4jYMZ: to=<\"status=sent (2\"@b.test>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)", 0),
    "a connection": ("Verified TLS connection established to smtp.office365.com", 0),
    "bytes": ([1, 2], 0),
    "nothing": (None, 0),
}


@pytest.mark.parametrize(("message", "counted"), MESSAGES.values(), ids=MESSAGES)
def test_only_what_microsoft_accepted_counts(message, counted):
    hours = {}
    assert _pacer_day.add(hours, LANES, entry(message)) == "s=2"
    assert _pacer_day.total(hours, MAILBOX) == counted


def test_both_lanes_count_for_their_mailbox_and_strangers_for_nobody():
    hours = {}
    for lane in (*LANES, "smtp"):
        _pacer_day.add(hours, LANES, entry(SENT, lane))
    assert {mailbox: _pacer_day.total(hours, mailbox) for mailbox in set(LANES.values())} == {MAILBOX: 2, "billing@corp.test": 1}
    assert set(hours) == set(LANES.values())


def test_a_day_ends_after_24_hours_and_never_before():
    hours = {MAILBOX: {"100": 5, "101": 7, "200": 1}}
    _pacer_day.forget(hours, 125 * 3600 - 1)
    assert hours == {MAILBOX: {"100": 5, "101": 7}}
    _pacer_day.forget(hours, 125 * 3600)
    assert hours == {MAILBOX: {"101": 7}}


@pytest.mark.parametrize(("script", "cursor"), [("printf '%s\\n' \"$LINES_OF_A_TEST\"", "s=2"), ("exit 0", "old")], ids=["lines", "nothing new"])
def test_the_journal_is_read_from_the_cursor_on(tmp_path, monkeypatch, script, cursor):
    program = tmp_path / "journalctl"
    asked = '[ "$3" = --output-fields=MESSAGE,SYSLOG_IDENTIFIER ] && [ "$4" = --after-cursor=old ]'
    program.write_text(f"#!/bin/sh\n{asked} || exit 3\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LINES_OF_A_TEST", f"{entry(SENT)}\n{entry(SENT)}")
    hours = {}
    assert asyncio.run(_pacer_day.read(hours, LANES, "old", 0)) == cursor
    assert _pacer_day.total(hours, MAILBOX) == (2 if cursor == "s=2" else 0)
    with pytest.raises(OSError, match="exit code 3"):
        asyncio.run(_pacer_day.read(hours, LANES, "", 7.9))
    assert _pacer_day.command({"b", "a"}, "", 7.9)[4:] == ["--since=@7", "SYSLOG_IDENTIFIER=postfix/a/smtp", "SYSLOG_IDENTIFIER=postfix/b/smtp"]
