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
        "at_most": "no limit", "rule": "sender_policy_logins, rule 1",
    }
    assert rows[3]["may_write"] == f"nothing but {SCANS}"
    assert rows[-1] == {"who": "everybody else", "may_write": "any address", "leaves_as": SCANS, "others": "are refused",
                        "at_most": "no limit", "rule": "sender_policy_default"}
    lines = explain.as_text(rows).splitlines()
    assert len(lines) == 1 + len(rows)
    assert len({line.index("sender_policy_") for line in lines[1:]}) == 1


class Keeper:
    """A ledger that remembers nothing."""

    def claim(self, *_claim):
        return None


ROUTES = {
    "routes": {SCANS: {"prompt": "m365-scans_corp_test:[smtp.office365.com]:587", "bulk": "m365-scans_corp_test-bulk:[smtp.office365.com]:587"},
               "orders@corp.test": {"prompt": "m365-orders_corp_test:[smtp.office365.us]:587", "bulk": "m365-orders_corp_test-bulk:[smtp.office365.us]:587"}},
    "messages_per_minute": {SCANS: 30, "orders@corp.test": 30}, "mailboxes": [SCANS, "orders@corp.test"],
    "sender_policy_networks": [{"networks": ["10.9.0.0/16"], "mailbox": "Orders@corp.test", "recipients_per_day": 3}],
}


def answers(tmp_path, login="", client="10.0.0.1", sender="a@b.test", headers=(), times=1, recipients=1, ledger=None):
    """Hand in messages, all alike; return the packets of each as text."""
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({**SETTINGS, **ROUTES}), encoding="utf-8")
    conversation = milter.Conversation(milter.Source(str(path)), {}, ledger or Keeper())
    conversation.connect(client)
    said = []
    for _turn in range(times):
        conversation.sender(login, sender)
        for _recipient in range(recipients):
            conversation.recipient()
        for name, value in (("From", "a@b.test"), *headers):
            conversation.header(name.encode(), value.encode())
        said.append(b"".join(conversation.end_of_message("4X")).decode("latin-1"))
    return said


@pytest.mark.parametrize(("login", "client", "sender", "lane"), [
    ("new", "10.0.0.1", "a@b.test", "scans_corp_test:[smtp.office365.com]"), ("", "10.9.1.1", "a@b.test", "orders_corp_test:[smtp.office365.us]"),
    ("", "10.9.1.1", "", "orders_corp_test:[smtp.office365.us]"), ("", "127.0.0.1", "root@corp.test", "scans_corp_test:[smtp.office365.com]"),
    ("", "127.0.0.1", "", "scans_corp_test:[smtp.office365.com]"), ("", "127.0.0.1", "double-bounce@relay.corp.test", "scans_corp_test:[smtp.office365.com]"),
])
def test_each_message_is_told_where_it_goes(tmp_path, login, client, sender, lane):
    [packets] = answers(tmp_path, login, client, sender)
    assert f"\0\0\0\x01X-M365-Relay-Route\0m365-{lane}:587\0" in packets


def test_who_hands_in_more_than_a_few_goes_by_the_bulk_lane(tmp_path):
    assert ["-bulk:" in packets for packets in answers(tmp_path, times=12)] == [False] * 10 + [True] * 2


def test_a_clients_own_route_goes(tmp_path):
    [packets] = answers(tmp_path, headers=[("X-M365-Relay-Route", "smtp:[evil.test]"), ("x-m365-relay-ROUTE", "x")])
    removed = [packets.index(f"\0\0\0{chr(number)}X-M365-Relay-Route\0\0") for number in (2, 1)]
    assert removed == sorted(removed)
    assert packets.index("X-M365-Relay-Route\0m365-") > removed[1]


def test_over_its_quota_a_client_is_asked_to_come_back(tmp_path):
    said = answers(tmp_path, client="10.9.1.1", times=3, recipients=2, ledger=milter.Ledger(str(tmp_path / "usage"), 0))
    assert "452 4.7.1 sender_policy_networks, rule 1 allows 3 recipients a day, and they are used up." in said[1]
    assert "452 4.7.1" in said[2]
    assert "452" not in said[0]


def test_more_than_a_quota_at_once_is_refused(tmp_path):
    [said] = answers(tmp_path, client="10.9.1.1", recipients=4, ledger=milter.Ledger(str(tmp_path / "usage"), 0))
    assert "550 5.7.1 sender_policy_networks, rule 1 allows 3 recipients a day, and this message alone has 4." in said


def test_recipients_are_asked_for_when_a_rule_limits_them(source):
    there, path = source
    assert milter.Conversation(there, {}, Keeper()).wants_recipients() is False
    path.write_text(json.dumps({**SETTINGS, **ROUTES}), encoding="utf-8")
    assert milter.Conversation(there, {}, Keeper()).wants_recipients() is True
