# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service changes in a message's header, and which policy it goes by. The protocol itself is tested on real hosts."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_explain as explain
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_milter as milter
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_policy as policy

SETTINGS = {
    "mailboxes": ["scans@corp.test"], "hostname": "relay.corp.test", "sender_policy_realm": "corp.test", "sender_policy_default": {},
    "sender_policy_networks": [],
    "sender_policy_logins": [
        {"logins": ["app"], "mode": "as_is", "addresses": ["billing@corp.test", "boss@corp.test"], "exclusive": True},
        {"logins": ["fax"], "reply_to": "office@corp.test"}, {"logins": ["quiet"], "reply_to": "none"},
        {"logins": ["tidy"], "addresses": [], "otherwise": "as_mailbox"},
    ],
}
NOW = datetime.datetime(2026, 11, 1, 9, 5, tzinfo=datetime.UTC)
DATED = {"date": ["x"], "message-id": ["<x@y.test>"]}
SCANS, BILLING = "scans@corp.test", "billing@corp.test"

CASES = {
    "mail as it is": ("app", {"from": [BILLING]}, []),
    "an allowed Sender stays": ("app", {"from": [BILLING], "sender": ["boss@corp.test"], "resent-from": [BILLING]}, []),
    "any other Sender goes": ("app", {"from": [BILLING], "sender": ["x@y.test", "boss@corp.test", "z@y.test"]}, [("sender", 3, ""), ("sender", 1, "")]),
    "an unclear Sender goes": ("app", {"from": [BILLING], "sender": ["boss@corp.test, x@y.test"]}, [("sender", 1, "")]),
    "the mailbox has no Sender beside it": ("new", {"from": [SCANS], "sender": [SCANS], "resent-sender": [SCANS]},
                                            [("sender", 1, ""), ("resent-sender", 1, "")]),
    "From is replaced, the author gets the replies": ("new", {"from": ["A <a@b.test>"]}, [("From", 1, f"A <{SCANS}>"), ("Reply-To", 1, "a@b.test")]),
    "a Reply-To that is there stays": ("new", {"from": ["a@b.test"], "reply-to": ["c@d.test"]}, [("From", 1, SCANS)]),
    "an empty Reply-To is none": ("new", {"from": ["a@b.test"], "reply-to": [" "]}, [("From", 1, SCANS), ("Reply-To", 1, "a@b.test")]),
    "a missing From is added": ("new", {}, [("From", 1, SCANS), ("Reply-To", 1, "e@f.test")]),
    "of several From the first is replaced and the others go, the last first": (
        "tidy", {"from": ["a@b.test", "c@d.test", "e@f.test"]}, [("From", 3, ""), ("From", 2, ""), ("From", 1, SCANS)]),
    "a fixed Reply-To takes the place of all": ("fax", {"from": [SCANS], "reply-to": ["a@b.test", "c@d.test"]},
                                                [("Reply-To", 2, ""), ("Reply-To", 1, "office@corp.test")]),
    "no Reply-To at all": ("quiet", {"from": [SCANS], "reply-to": ["a@b.test"]}, [("Reply-To", 1, "")]),
    "no Reply-To where none is": ("quiet", {"from": [SCANS]}, []),
}


@pytest.mark.parametrize("name", CASES)
def test_header(name):
    login, headers, expected = CASES[name]
    envelope = BILLING if login == "app" else "e@f.test"
    decision = policy.decide(policy.compile_policy(SETTINGS), login, "10.0.0.1", envelope, headers.get("from", []))
    assert milter.edits(decision, {**headers, **DATED}, "relay.corp.test", NOW) == expected


def test_date_and_message_id_are_added_when_they_are_missing():
    decision = policy.decide(policy.compile_policy(SETTINGS), "app", "10.0.0.1", BILLING, [BILLING])
    [date, message_id] = milter.edits(decision, {"from": [BILLING]}, "relay.corp.test", NOW)
    assert date == ("Date", 1, "Sun, 01 Nov 2026 09:05:00 +0000")
    assert message_id[:2] == ("Message-ID", 1)
    assert message_id[2].endswith("@relay.corp.test>")


@pytest.fixture
def source(tmp_path):
    """A policy in a file."""
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(SETTINGS), encoding="utf-8")
    return milter.Source(str(path)), path


def test_a_new_file_is_a_new_policy(source):
    there, path = source
    before = there.current()
    assert there.current() is before
    path.write_text(json.dumps({**SETTINGS, "mailboxes": ["other@corp.test"]}), encoding="utf-8")
    assert there.current().default.mailbox == "other@corp.test"


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", json.dumps({**SETTINGS, "sender_policy_networks": [{"networks": ["x"]}]}), None])
def test_the_old_policy_stays_when_the_new_one_is_broken(source, capsys, broken):
    there, path = source
    before = there.current()
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken, encoding="utf-8")
    assert there.current() is before
    assert there.current() is before
    assert capsys.readouterr().err.count("the old policy stays") == 1


def test_a_line_of_the_log_holds_no_line_break_of_a_stranger():
    assert "\n" not in milter.shown("a\r\nb\u2028c\x1b" * 100)
    assert len(milter.shown("a" * 10000)) < 200


def test_explain_says_what_would_happen_and_which_rule_says_so():
    told = explain.explain(SETTINGS, "new", "10.0.0.1", "a@b.test", ["A <a@b.test>"])
    assert told == {
        "verdict": "as", "rule": "sender_policy_default", "because": f"it leaves as {SCANS}: sender_policy_default says as_mailbox.", "mailbox": SCANS,
        "envelope_sender": SCANS, "header_from": f"A <{SCANS}>", "reply_to": "a@b.test",
    }
    assert explain.explain(SETTINGS, "", "10.0.0.1", BILLING, []) == {
        "verdict": "refuse", "rule": "sender_policy_default",
        "because": f"10.0.0.1 may not send this: {BILLING} belongs to sender_policy_logins, rule 1 alone.",
    }


def test_the_table_who_may_send_as_whom():
    rows = explain.who_may_send(SETTINGS)
    assert rows[0] == {
        "who": "app@corp.test", "may_write": "billing@corp.test, boss@corp.test (nobody else may)", "leaves_as": "what it wrote", "others": "are refused",
        "rule": "sender_policy_logins, rule 1",
    }
    assert rows[3]["may_write"] == f"nothing but {SCANS}"
    assert rows[-1] == {"who": "everybody else", "may_write": "any address", "leaves_as": SCANS, "others": "are refused", "rule": "sender_policy_default"}
    lines = explain.as_text(rows).splitlines()
    assert len(lines) == 1 + len(rows)
    assert len({line.index("sender_policy_") for line in lines[1:]}) == 1
