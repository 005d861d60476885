# SPDX-License-Identifier: GPL-3.0-or-later
"""Two mailboxes on one relay: each has its own lanes, its own token and its own limits."""

from __future__ import annotations

import time

import pytest
from conftest import MAILBOX, submit, wait_for
from pacing import FAST, LIMIT, MARGIN, WINDOW, burst, refusals, settings

SHARED = "shared@corp.test"
APP = {"tenant_id": "11111111-2222-4333-8444-555555555555", "client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "sign_in_as": MAILBOX}
# One account sends through the second mailbox.
POLICY = [{"logins": ["printer"], "mailbox": SHARED}]


@pytest.fixture(scope="module")
def two(host, deploy):
    """A relay with two identities; afterwards one."""
    deploy({"xoauth2_identities": [{"mailbox": MAILBOX, **APP}, {"mailbox": SHARED, **APP}], "sender_policy_logins": POLICY})
    settings(host, messages=LIMIT, seconds=WINDOW, margin=MARGIN)
    yield
    deploy()
    assert "shared" not in host.check_output("cat /etc/postfix/master.cf /etc/m365-relay/pacer.json")


def test_what_one_mailbox_has_to_wait_for_does_not_slow_the_other(bed, two, lab, host):
    lab("POST", "/settings", {"limit_model": "A", "rate_limit": LIMIT, "rate_window": WINDOW, "connection_limit": 3, **FAST})
    slow = burst(host, 4 * LIMIT)
    time.sleep(2)
    quick = [submit(bed["hosts"]["relay"]["addresses"][0], login="printer") for _turn in range(10)]
    sent_as = {name: [] for name in (MAILBOX, SHARED)}

    def all_of_the_second():
        for name in sent_as:
            sent_as[name] = [item["message_id"] for item in lab("GET", "/inbox") if item["mailbox"] == name]
        return len(sent_as[SHARED]) == len(quick)
    wait_for("all mail of the second mailbox", all_of_the_second, seconds=15)
    assert sorted(sent_as[SHARED]) == sorted(quick)
    assert len(sent_as[MAILBOX]) < len(slow)
    wait_for("all mail of the first mailbox", lambda: len(lab("GET", "/inbox")) == len(slow) + len(quick), seconds=60)
    assert refusals(lab) == []
