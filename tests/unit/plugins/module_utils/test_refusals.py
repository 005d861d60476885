# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounce names the cause, and the log still tells the same entry of the catalogue. Postfix's own reading of the table is tested on real hosts."""

from __future__ import annotations

import re

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _catalogue, _refusals

HOST = "host smtp.office365.com[192.0.2.1] said: "
RULES = [(re.compile(pattern, re.IGNORECASE), words) for pattern, words in _refusals.rules("scans@corp.test")]
REPLIES = {
    "send_as_denied": "554 5.2.252 SendAsDenied; scans@corp.test not allowed to send as ceo@corp.test; STOREDRV.Submission.Exception:SendAsDeniedException",
    "sender_blocked_send_as": "550 5.2.252 Sender throttled due to continuous send as denied errors",
    "mailbox_full": "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException; Failed to process message",
    "daily_recipients_reached": "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; x",
    "submission_exception": "554 5.2.0 STOREDRV.Submission.Exception:OtherException; x",
    "sender_blocked_spam": "550 5.7.502 Access denied, banned sender",
    "recipient_blocked": "550 5.7.703 Your message can't be delivered",
    "message_too_large": "552 5.3.4 Message size exceeds fixed limit",
}


def filtered(status, reason):
    """What Postfix makes of a status and a reason with the table."""
    for pattern, words in RULES:
        found = pattern.search(f"{status} {reason}")
        if found:
            return f"{found[1]} {words} {found[2]}"
    return f"{status} {reason}"


@pytest.mark.parametrize("name", REPLIES)
def test_a_bounce_says_why_and_what_to_do(name):
    reason = f"{HOST}{REPLIES[name]} (in reply to end of DATA command)"
    said = filtered(REPLIES[name].split()[1], reason)
    entry = _catalogue.by_name(name)
    told = _catalogue.explain(entry, mailbox="scans@corp.test")
    assert said == f"{REPLIES[name].split()[1]} {told['meaning']} What to do: {told['remedy']} ({name}) {reason}"
    assert _catalogue.by_log_line(f"status=bounced ({said})") == entry == _catalogue.by_log_line(f"status=bounced ({reason})")


@pytest.mark.parametrize(("status", "reason"), [
    ("4.3.2", f"{HOST}432 4.3.2 Concurrent connections limit exceeded"), ("2.0.0", "250 2.0.0 OK"),
    ("4.7.3", "SASL authentication failed; server x said: 535 5.7.3 no"),
    ("5.0.0", f"{HOST}550 5.0.0 something that nobody knows"), ("5.4.4", "Host or domain name not found"),
])
def test_everything_else_stays_as_it_is(status, reason):
    assert filtered(status, reason) == f"{status} {reason}"


def test_every_refusal_for_good_has_its_words_on_one_line_with_nothing_to_fill_in():
    bouncing = {entry["name"] for entry in _catalogue.ENTRIES if entry["source"] == "smtp" and entry["mail"] == "bounces"} - _refusals.ORDINARY
    assert {words.rpartition("(")[2].rstrip(")") for _pattern, words in RULES} == bouncing
    for _pattern, words in RULES:
        assert words.isprintable()
        assert not re.search(r"[{}]", words)


def test_dollars_reach_postfix_as_dollars():
    value = _refusals.for_postfix(["scans@corp.test"])
    assert "$$$$true" in value
    assert value.count("{") == value.count("}")
    assert "$${1}" in value


def test_of_several_mailboxes_none_is_named():
    value = _refusals.for_postfix(["scans@corp.test", "orders@corp.test"])
    assert "@corp.test" not in value
    assert "the sending mailbox is full" in value
