# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes and their lanes: what the names of Postfix's services cannot tell apart or hold is found before anything is touched."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight_postfix import problems

SOUND = {"postfix_hostname": "relay.example.org", "postfix_domain": "example.org"}
LONG = f"{'x' * 64}@{'y' * 20}.example.org"

WRONG = {
    "two that differ in punctuation": (["a.b@example.org", "a-b@example.org"], {}, "xoauth2_identities: a.b@example.org and a-b@example.org"),
    "one that is too long": ([LONG], {}, "is too long"),
    "limits of a stranger": (["a@example.org"], {"b@example.org": {"messages_per_minute": 1}}, "'b@example.org' is no mailbox of this relay"),
}


@pytest.mark.parametrize(("mailboxes", "limits", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(mailboxes, limits, says):
    identities = [{"mailbox": mailbox} for mailbox in mailboxes]
    found = problems({**SOUND, "xoauth2_identities": identities, "postfix_mailbox_limits": limits})
    assert len(found) == 1, found
    assert says in found[0]


TWO, ONE_TWICE = ([{"mailbox": first}, {"mailbox": second}] for first, second in (("a@example.org", "b@example.org"), ("A@example.org", "a@example.org")))


@pytest.mark.parametrize("identities", [TWO, ONE_TWICE, [], None, [{}], "text"], ids=["two", "one twice", "none", "nothing", "without a name", "text"])
def test_what_is_sound_or_for_others_to_judge_is_let_pass(identities):
    assert problems({**SOUND, "xoauth2_identities": identities}) == []


def test_limits_find_their_mailbox_however_it_is_written():
    settings = {**SOUND, "xoauth2_mailbox": "Scans@example.org", "postfix_mailbox_limits": {"scans@example.org": {"recipients_per_day": 0}}}
    assert problems(settings) == []
