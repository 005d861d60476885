# SPDX-License-Identifier: GPL-3.0-or-later
"""Three identities in two tenants, one of them broken: the other two deliver on, and status and doctor name the broken one."""

from __future__ import annotations

import json

import pytest
from conftest import MAILBOX, RECIPIENT, submit, wait_for

CORP, OTHER = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-000000000000"
APP, SECRET = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "lab8Q~a-client-secret-that-only-the-lab-knows"
BILLING, RELAY = "billing@corp.test", "relay@other.test"
IDENTITIES = [
    {"mailbox": MAILBOX, "tenant_id": CORP, "client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"},
    {"mailbox": BILLING, "tenant_id": CORP, "client_id": APP, "grant": "client_secret", "client_secret": SECRET},
    {"mailbox": RELAY, "tenant_id": OTHER, "client_id": "dddddddd-eeee-4fff-8000-111111111111"},
]
ALL = [MAILBOX, BILLING, RELAY]
POLICY = [{"logins": ["scanner"], "mailbox": RELAY}, {"logins": ["printer"], "mailbox": BILLING}]
LOGINS = {RELAY: "scanner", BILLING: "printer"}


@pytest.fixture(scope="module", autouse=True)
def three(deploy):
    """A relay of three identities; afterwards the usual one."""
    for person, count in ((MAILBOX, 2), (RELAY, 3)):
        deploy({"xoauth2_identities": IDENTITIES[:count], "sender_policy_logins": POLICY if count == 3 else []}, person)
    yield
    deploy()


def asked(host, command):
    """Return what a sub-command says as JSON."""
    return json.loads(host.run(f"m365-relay {command} --json").stdout)


def failures(host):
    """Return {mailbox: (stage, name)} of the identities for which the doctor finds something."""
    return {finding["identity"]: (finding["stage"], finding["name"]) for finding in asked(host, "doctor")["findings"]
            if finding["status"] == "failed" and finding["identity"]}


def delivered_as(bed, lab, mailbox):
    """Send a message as the client of a mailbox; return as whom Microsoft accepted it."""
    return [message["mailbox"] for message in lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0], login=LOGINS[mailbox]))]


def test_all_three_are_proven(lab, host):
    assert failures(host) == {}
    assert [identity["mailbox"] for identity in asked(host, "status")["identities"]] == ALL


def test_a_dead_sign_in_of_one_is_named_for_it_alone(bed, lab, host):
    lab("POST", "/revoke", {"account": RELAY})
    host.run("m365-relay token renew --force")
    try:
        assert failures(host) == {RELAY: ("renewal", "grant_revoked")}
        found = asked(host, "status")
        assert {item["mailbox"]: (item["last_error"] or {}).get("name") for item in found["identities"]} == {
            MAILBOX: None, BILLING: None, RELAY: "grant_revoked"}
        assert len([problem for problem in found["problems"] if RELAY in problem]) == 1
        assert not [problem for problem in found["problems"] if MAILBOX in problem or BILLING in problem]
        assert delivered_as(bed, lab, BILLING) == [BILLING]
    finally:
        lab("POST", "/reset")


def test_a_refused_login_of_one_leaves_the_others_delivering(bed, lab, host, deploy):
    deploy({"xoauth2_identities": IDENTITIES, "sender_policy_logins": POLICY}, RELAY)
    host.check_output("postfix reload")    # a connection that is kept open has logged in already
    lab("POST", "/faults", {"name": "smtp_auth_disabled_mailbox", "account": BILLING})
    submit(bed["hosts"]["relay"]["addresses"][0], login="printer")
    wait_for("a deferred message", lambda: host.run("m365-relay queue list --cause smtp_auth_off_mailbox").rc == 0)
    assert failures(host)[BILLING] == ("login", "smtp_auth_off_mailbox")
    assert MAILBOX not in failures(host)
    assert asked(host, "status")["queue"]["causes"][0]["name"] == "smtp_auth_off_mailbox"
    lab("DELETE", "/faults")
    host.check_output("m365-relay queue flush")
    wait_for("an empty queue", lambda: host.run("m365-relay queue list").rc == 1, seconds=90)
    assert [message["mailbox"] for message in lab("GET", "/inbox")] == [BILLING]
    assert RECIPIENT in lab("GET", "/inbox")[0]["envelope_to"]
