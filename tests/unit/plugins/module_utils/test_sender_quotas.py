# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sender has handed in counts for an hour and a day, and a restart forgets nothing."""

from __future__ import annotations

import types

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_quotas as quotas

NOW = 30_000_000


def rule(recipients_per_day=0, messages_per_hour=0):
    """A rule with limits."""
    return types.SimpleNamespace(place="sender_policy_logins, rule 1", recipients_per_day=recipients_per_day, messages_per_hour=messages_per_hour)


@pytest.fixture
def ledger(tmp_path):
    """A ledger in an empty folder."""
    return quotas.Ledger(str(tmp_path / "usage"), NOW)


def test_who_has_no_limit_is_not_counted(ledger):
    assert ledger.claim(rule(), "a", 1000, NOW) is None
    assert not ledger.usage


def test_messages_of_an_hour(ledger):
    limited = rule(messages_per_hour=3)
    assert [ledger.claim(limited, "a", 1, NOW + minute) for minute in (0, 20, 40)] == [None] * 3
    waiting_helps, sentence = ledger.claim(limited, "a", 1, NOW + 59)
    assert waiting_helps
    assert sentence == "sender_policy_logins, rule 1 allows 3 messages an hour, and they are used up. Try again later."
    assert ledger.claim(limited, "a", 1, NOW + 60) is None
    assert ledger.claim(limited, "a", 1, NOW + 61) is not None


def test_recipients_of_a_day(ledger):
    limited = rule(recipients_per_day=10)
    assert ledger.claim(limited, "a", 6, NOW) is None
    assert ledger.claim(limited, "a", 5, NOW + 60)[1] == "sender_policy_logins, rule 1 allows 10 recipients a day, and they are used up. Try again later."
    assert ledger.claim(limited, "a", 4, NOW + 120) is None
    assert ledger.claim(limited, "a", 1, NOW + 1439)
    assert ledger.claim(limited, "a", 6, NOW + 1440) is None


def test_what_was_refused_is_not_counted(ledger):
    limited = rule(recipients_per_day=10)
    for _turn in range(5):
        ledger.claim(limited, "a", 9, NOW)
    assert sum(row[2] for row in ledger.usage["a"]) == 9


def test_a_message_that_could_never_come_in_is_refused_for_good(ledger):
    assert ledger.claim(rule(recipients_per_day=10), "a", 11, NOW) == (
        False, "sender_policy_logins, rule 1 allows 10 recipients a day, and this message alone has 11.")


def test_senders_of_one_rule_are_counted_one_by_one(ledger):
    limited = rule(messages_per_hour=1)
    assert ledger.claim(limited, "a", 1, NOW) is None
    assert ledger.claim(limited, "b", 1, NOW) is None
    assert ledger.claim(limited, "a", 1, NOW)


def test_a_restart_forgets_nothing(ledger):
    limited = rule(recipients_per_day=10, messages_per_hour=5)
    for minute in range(3):
        ledger.claim(limited, "jörg", 2, NOW + minute)
    ledger.write()
    again = quotas.Ledger(ledger.path, NOW + 3)
    assert again.usage == ledger.usage
    assert again.claim(limited, "jörg", 5, NOW + 3)


def test_what_a_kill_left_of_the_last_line_counts_for_nothing(ledger):
    ledger.claim(rule(messages_per_hour=9), "a", 1, NOW)
    ledger.write()
    with open(ledger.path, "a", encoding="ascii") as stream:
        stream.write('[30000000, "a", 1')
    again = quotas.Ledger(ledger.path, NOW)
    again.claim(rule(messages_per_hour=9), "a", 1, NOW + 1)
    again.write()
    assert quotas.read(ledger.path, NOW + 1) == again.usage
    assert sum(row[1] for row in again.usage["a"]) == 2


@pytest.mark.parametrize("line", [
    "", "nonsense", "[]", "[1, 2]", '{"a": 1}', '["x", "a", 1, 1]', '[99999999999, "a", 1, 1]', f'[{NOW - 1440}, "a", 1, 1]', "\xff",
])
def test_a_line_that_says_nothing_counts_for_nothing(tmp_path, line):
    (tmp_path / "usage").write_text(f'{line}\n[{NOW}, "b", 1, 1]\n', encoding="latin-1")
    assert list(quotas.read(str(tmp_path / "usage"), NOW)) == ["b"]


def test_the_file_stays_short(ledger, monkeypatch):
    monkeypatch.setattr(quotas, "LONGEST", 100)
    for turn in range(1000):
        ledger.claim(rule(messages_per_hour=2000), "a", 1, NOW + turn // 100)
        ledger.write()
    with open(ledger.path, encoding="ascii") as stream:
        assert len(stream.readlines()) <= 110
    assert quotas.read(ledger.path, NOW + 10) == ledger.usage
    assert sum(row[1] for row in ledger.usage["a"]) == 1000
