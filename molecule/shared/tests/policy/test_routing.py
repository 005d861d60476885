# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of a sender says which identity sends, whatever it writes; and one sender's many messages leave by another lane than the few of others."""

from __future__ import annotations

import pytest
from conftest import MAILBOX, PASSWORDS, RECIPIENT, connect, message, wait_for
from sending import BILLING, empty_queue, refusals_of_microsoft

ORDERS = "orders@corp.test"
CORP = "11111111-2222-4333-8444-555555555555"
SETTINGS = {
    "postfix_messages_per_minute": 600,
    "xoauth2_identities": [
        {"mailbox": MAILBOX, "tenant_id": CORP, "client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"},
        {"mailbox": BILLING, "tenant_id": CORP, "client_id": "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "grant": "client_secret",
         "client_secret": "lab8Q~a-client-secret-that-only-the-lab-knows"},
    ],
    "sender_policy_logins": [
        {"logins": ["scanner"], "mailbox": BILLING},
        {"logins": ["printer"], "mailbox": BILLING, "mode": "as_is", "addresses": [BILLING, ORDERS], "otherwise": "as_mailbox"},
    ],
    "sender_policy_networks": [{"networks": ["127.0.0.1"], "mode": "as_is", "addresses": [MAILBOX, ORDERS], "otherwise": "as_mailbox"}],
}


@pytest.fixture(scope="module", autouse=True)
def deployed(deploy):
    """Deploy with two identities, of which both may send as one address; afterwards as before."""
    deploy(SETTINGS)
    yield
    deploy()


@pytest.fixture(autouse=True)
def may_send_as(lab):
    """Both mailboxes have Send As for the same address."""
    for mailbox in (MAILBOX, BILLING):
        lab("POST", "/accounts", {"account": mailbox, "send_as": [ORDERS]})


def submit(bed, login, sender, count=1):
    """Hand in messages with a login; return their Message-IDs."""
    mails = [message(sender=sender) for _turn in range(count)]
    with connect(bed["hosts"]["relay"]["addresses"][0], 587) as session:
        session.login(login, PASSWORDS[login])
        for mail in mails:
            session.send_message(mail, sender, RECIPIENT)
    return [mail["Message-ID"] for mail in mails]


@pytest.mark.parametrize(("login", "sender", "identity", "author"), [
    ("scanner", "scanner@corp.test", BILLING, BILLING), ("scanner", MAILBOX, BILLING, BILLING), ("printer", BILLING, BILLING, BILLING),
    ("printer", ORDERS, BILLING, ORDERS), ("printer", "x@y.test", BILLING, BILLING), ("printer", MAILBOX, BILLING, BILLING),
])
def test_the_rule_of_a_login_says_which_identity_sends(bed, lab, login, sender, identity, author):
    [arrived] = lab.delivered(submit(bed, login, sender)[0])
    assert (arrived["mailbox"], arrived["envelope_from"], arrived["header_from"]) == (identity, author, author)
    assert not refusals_of_microsoft(lab)


@pytest.mark.parametrize(("sender", "author"), [(ORDERS, ORDERS), (MAILBOX, MAILBOX), (BILLING, MAILBOX), ("root@localhost", MAILBOX)])
def test_mail_of_the_host_leaves_by_its_own_rule(host, lab, sender, author):
    host.check_output("printf 'From: %s\\nTo: alice@partner.test\\nSubject: local\\n\\ntext\\n' | sendmail -t -f %s", sender, sender)
    [arrived] = wait_for("the delivery", lambda: lab("GET", "/inbox"))
    assert (arrived["mailbox"], arrived["envelope_from"], arrived["header_from"]) == (MAILBOX, author, author)
    assert not refusals_of_microsoft(lab)


def test_a_bounce_of_the_second_identity_is_sent_by_the_first(bed, lab):
    lab("POST", "/faults", {"name": "smtp_bad_outbound_sender", "times": 1})
    submit(bed, "printer", ORDERS)
    [bounce] = wait_for("the bounce", lambda: lab("GET", "/inbox"))
    assert (bounce["mailbox"], bounce["envelope_from"], bounce["envelope_to"]) == (MAILBOX, "", [ORDERS])


def test_many_at_once_leave_by_the_bulk_lane_and_the_few_of_others_by_the_prompt_one(bed, host, lab):
    sent = submit(bed, "printer", ORDERS, 40) + submit(bed, "scanner", "scanner@corp.test", 3)
    empty_queue(host)
    assert sorted(each["message_id"] for each in lab("GET", "/inbox")) == sorted(sent)
    lines = host.check_output("journalctl --since -300s --grep 'status=sent' --output short -t postfix/m365-billing_corp_test/smtp "
                              "-t postfix/m365-billing_corp_test-bulk/smtp").splitlines()
    bulk = [line for line in lines[-43:] if "billing_corp_test-bulk" in line]
    assert 20 <= len(bulk) <= 30
