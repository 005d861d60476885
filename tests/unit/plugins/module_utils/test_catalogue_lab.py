# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in for Microsoft can do wrong, and how the catalogue names it."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _catalogue
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils import lab_faults
from m365 import errors, faults

NUMBERS = {fault: entry for fault, entry in lab_faults.SIGN_IN.items() if "aadsts" in faults.CATALOGUE[fault]}
REPLIES = {fault: entry for fault, entry in lab_faults.MAIL.items() if "reply" in faults.CATALOGUE[fault]}
WORDS = {"at": "[AM1 2026-11-22T10:00:00.000Z 08DE29A1]", "host": "AM1", "client": "192.0.2.1", "mailbox": "a@corp.test", "sender": "b@corp.test"}


def test_every_fault_of_the_lab_is_in_the_table():
    assert {*lab_faults.SIGN_IN, *lab_faults.MAIL, *lab_faults.NO_ENTRY} == set(faults.CATALOGUE)


def test_table_names_many_entries_and_only_real_ones():
    named = {*lab_faults.SIGN_IN.values(), *lab_faults.MAIL.values()}
    assert named <= {entry["name"] for entry in _catalogue.ENTRIES}
    assert len(named) >= 60


@pytest.mark.parametrize(("fault", "entry"), NUMBERS.items(), ids=NUMBERS)
def test_answer_of_the_lab_has_its_entry(fault, entry):
    answer = errors.EntraError(faults.CATALOGUE[fault]["aadsts"]).body()
    assert _catalogue.by_signin_answer(answer)["name"] == entry


@pytest.mark.parametrize(("fault", "entry"), REPLIES.items(), ids=REPLIES)
def test_reply_of_the_lab_has_its_entry(fault, entry):
    phase, reply = faults.CATALOGUE[fault]["phase"], faults.CATALOGUE[fault]["reply"].format(**WORDS)
    said = "SASL authentication failed; server smtp.office365.com[192.0.2.2] said: " if phase == "auth" else "host smtp.office365.com[192.0.2.2] said: "
    assert _catalogue.by_smtp_reply(reply, phase)["name"] == entry
    assert _catalogue.by_log_line(f"4abc: to=<x@y.test>, relay=none, dsn=4.0.0, status=deferred ({said}{reply})")["name"] == entry
