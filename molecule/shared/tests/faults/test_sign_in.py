# SPDX-License-Identifier: GPL-3.0-or-later
"""A sign-in that fails says what happened and what to do, and leaves the token that is there alone."""

from __future__ import annotations

import pytest
from conftest import MAILBOX, submit, token_file

UNKNOWN_APP = "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"

# name: what the lab does, variables of the play, words of the error
FAILURES = {
    "the wrong person signs in": ([("/person", {"account": "admin@corp.test"})], {}, ["admin@corp.test", MAILBOX]),
    "the person declines": ([("/person", {"account": MAILBOX, "decline": True})], {}, ["declined"]),
    "the code expires": ([("/settings", {"code_lifetime": 5, "interval": 1})], {}, ["expired"]),
    "the sign-in page is unreachable": ([("/faults", {"name": "down_signin"})], {}, ["login.microsoftonline.com"]),
    "the app is unknown": ([], {"xoauth2_client_id": UNKNOWN_APP}, ["700016", "xoauth2_client_id"]),
    "public client flows are off": ([("/person", {"account": MAILBOX}), ("/faults", {"name": "aadsts_7000218"})], {}, ["7000218", "public client flows"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_sign_in_names_the_cause_and_leaves_the_token(bed, lab, host, play, name):
    steps, variables, words = FAILURES[name]
    before = token_file(host)
    for path, body in steps:
        lab("POST", path, body)
    done = play("sign_in", variables=variables)
    assert done.returncode == 2, done.stdout
    for word in words:
        assert word in done.stdout, done.stdout
    assert token_file(host) == before
    lab("POST", "/reset")
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1


def test_signing_in_again_replaces_the_token_and_shows_page_and_code_before_waiting(lab, host, play):
    before = token_file(host)
    lab("POST", "/person", {"account": MAILBOX})
    done = play("sign_in")
    assert done.returncode == 0, done.stdout
    assert token_file(host) != before
    shown = [number for number, line in enumerate(done.stdout.splitlines()) if "microsoft.com/devicelogin" in line]
    waited = [number for number, line in enumerate(done.stdout.splitlines()) if line.startswith("TASK") and "signed in" in line]
    assert shown and waited and shown[0] < waited[-1], done.stdout


def test_a_token_that_is_good_is_left_alone(lab, host, play):
    before = token_file(host)
    done = play("site")
    assert done.returncode == 0, done.stdout
    assert token_file(host) == before
    assert not [event for event in lab("GET", "/requests") if event.get("grant")]


def test_without_anybody_to_sign_in_the_run_goes_on_and_says_so(lab, host, play):
    good = token_file(host)
    host.check_output("mv /var/lib/m365-relay/tokens/%s /root/token", MAILBOX)
    done = play("site", variables={"xoauth2_sign_in": "never"})
    host.check_output("mv /root/token /var/lib/m365-relay/tokens/%s", MAILBOX)
    assert done.returncode == 0, done.stdout
    assert "sign-in required" in done.stdout.lower()
    assert token_file(host) == good
