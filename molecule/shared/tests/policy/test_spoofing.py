# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixty ways to send as somebody else, over SMTP: each is refused, or leaves as who the policy says. Microsoft never has to refuse one."""

from __future__ import annotations

import email.utils

import pytest
import sending
import testinfra
from conftest import MAILBOX, wait_for
from sending import BILLING, empty_queue, hand_over, refusals_of_microsoft

policy = sending.policy
SCANNER, CHIEF = "scanner@corp.test", "ceo@corp.test"
REFUSED = None

# (what is tried, login, envelope sender, the header lines that name a sender, what arrives: REFUSED or the address in envelope and From)
TRIES = [
    ("another address in the envelope", "scanner", CHIEF, [f"From: {SCANNER}"], REFUSED),
    ("another address in the header", "scanner", SCANNER, [f"From: {CHIEF}"], REFUSED),
    ("another address in both", "scanner", CHIEF, [f"From: {CHIEF}"], REFUSED),
    ("another login's address", "scanner", BILLING, [f"From: {BILLING}"], REFUSED),
    ("another login's address in the header only", "scanner", SCANNER, [f"From: {BILLING}"], REFUSED),
    ("another login's address without signing in", "", BILLING, [f"From: {BILLING}"], REFUSED),
    ("another login's address without signing in, in the header only", "", "x@y.test", [f"From: {BILLING}"], REFUSED),
    ("another domain", "scanner", SCANNER, ["From: x@y.test"], REFUSED),
    ("a domain that ends alike", "scanner", SCANNER, ["From: x@notplant.test"], REFUSED),
    ("a domain below an allowed one", "scanner", SCANNER, ["From: x@a.plant.test"], REFUSED),
    ("an allowed domain", "scanner", "m1@plant.test", ["From: m1@plant.test"], MAILBOX),
    ("capitals", "scanner", SCANNER, ["From: CEO@CORP.TEST"], REFUSED),
    ("capitals of another login", "scanner", SCANNER, ["From: BILLING@Corp.Test"], REFUSED),
    ("a header name in capitals", "scanner", SCANNER, [f"FROM: {CHIEF}"], REFUSED),
    ("a header name in small letters", "scanner", SCANNER, [f"from: {CHIEF}"], REFUSED),
    ("a blank before the colon", "scanner", SCANNER, [f"From : {CHIEF}"], REFUSED),
    ("a tab before the colon beside a good one", "scanner", SCANNER, [f"From: {SCANNER}", f"From\t: {CHIEF}"], REFUSED),
    ("two From", "scanner", SCANNER, [f"From: {SCANNER}", f"From: {CHIEF}"], REFUSED),
    ("two From, the good one last", "scanner", SCANNER, [f"From: {CHIEF}", f"From: {SCANNER}"], REFUSED),
    ("two From in different letters", "scanner", SCANNER, [f"From: {SCANNER}", f"fROM: {CHIEF}"], REFUSED),
    ("three From without signing in", "", "x@y.test", ["From: a@y.test", "From: b@y.test", "From: c@y.test"], REFUSED),
    ("two addresses", "scanner", SCANNER, [f"From: {SCANNER}, {CHIEF}"], REFUSED),
    ("two addresses without signing in", "", SCANNER, [f"From: {SCANNER}, {CHIEF}"], REFUSED),
    ("two addresses and a Sender", "scanner", SCANNER, [f"From: {CHIEF}, {SCANNER}", f"Sender: {SCANNER}"], REFUSED),
    ("a group", "scanner", SCANNER, [f"From: team: {SCANNER}, {CHIEF};"], REFUSED),
    ("a group of one", "", SCANNER, [f"From: team: {CHIEF};"], REFUSED),
    ("an empty group", "", SCANNER, ["From: undisclosed-senders:;"], REFUSED),
    ("an address as name", "scanner", SCANNER, [f"From: {CHIEF} <{SCANNER}>"], REFUSED),
    ("an address as name in quotes", "scanner", SCANNER, [f'From: "{CHIEF}" <{SCANNER}>'], MAILBOX),
    ("an address as encoded name", "scanner", SCANNER, [f"From: =?utf-8?q?ceo=40corp.test?= <{SCANNER}>"], MAILBOX),
    ("an address as encoded name in base64", "scanner", SCANNER, [f"From: =?utf-8?b?Y2VvQGNvcnAudGVzdA==?= <{SCANNER}>"], MAILBOX),
    ("an encoded name in quotes", "scanner", SCANNER, [f'From: "=?utf-8?q?ceo=40corp.test?=" <{SCANNER}>'], MAILBOX),
    ("an encoded address instead of an address", "scanner", SCANNER, ["From: =?utf-8?q?ceo=40corp.test?="], REFUSED),
    ("an encoded bracket", "scanner", SCANNER, [f"From: =?utf-8?q?Boss_=3Cceo=40corp.test=3E?= <{SCANNER}>"], MAILBOX),
    ("an encoded line break", "", SCANNER, ["From: =?utf-8?q?a=0D=0AFrom:_ceo=40corp.test?= <x@y.test>"], MAILBOX),
    ("an address in a comment", "scanner", SCANNER, [f"From: {SCANNER} ({CHIEF})"], REFUSED),
    ("comments inside the address", "scanner", SCANNER, ["From: ceo(x)@(y)corp.test"], REFUSED),
    ("nested comments", "scanner", SCANNER, [f"From: (a (b) {SCANNER}) {CHIEF}"], REFUSED),
    ("two addresses in brackets", "scanner", SCANNER, [f"From: <{SCANNER}> <{CHIEF}>"], REFUSED),
    ("a bracket that is never closed", "scanner", SCANNER, [f"From: {SCANNER} <{CHIEF}"], REFUSED),
    ("a folded header", "scanner", SCANNER, ["From: Boss", f"\t<{CHIEF}>"], REFUSED),
    ("a folded header that begins empty", "scanner", SCANNER, ["From:", f" {CHIEF}"], REFUSED),
    ("a bare carriage return in From", "scanner", SCANNER, [f"From: {SCANNER}\rFrom: {CHIEF}"], REFUSED),
    ("a bare carriage return in another header", "scanner", SCANNER, [f"From: {SCANNER}", f"X-Note: a\rFrom: {CHIEF}"], MAILBOX),
    ("a bare line feed in another header", "scanner", SCANNER, [f"From: {SCANNER}", f"X-Note: a\nFrom: {CHIEF}"], REFUSED),
    ("a dot at the end of the domain", "scanner", SCANNER, [f"From: {CHIEF}."], REFUSED),
    ("a dot at the end in the envelope", "scanner", f"{CHIEF}.", [f"From: {SCANNER}"], REFUSED),
    ("a quoted local part", "scanner", SCANNER, ['From: "ceo"@corp.test'], REFUSED),
    ("a quoted local part in the envelope", "scanner", '"ceo"@corp.test', [f"From: {SCANNER}"], REFUSED),
    ("a route in the header", "scanner", SCANNER, [f"From: <@plant.test:{CHIEF}>"], REFUSED),
    ("a route in the envelope", "scanner", f"@plant.test:{CHIEF}", [f"From: {SCANNER}"], REFUSED),
    ("a plus address", "scanner", SCANNER, ["From: scanner+ceo@corp.test"], REFUSED),
    ("a percent hack", "scanner", SCANNER, ["From: ceo%corp.test@y.test"], REFUSED),
    ("a Cyrillic letter", "scanner", SCANNER, ["From: ceo@\u0441orp.test"], REFUSED),
    ("a full-width letter", "scanner", SCANNER, ["From: ceo@\uff43orp.test"], REFUSED),
    ("letters outside ASCII in the envelope", "scanner", "ceo@\uff43orp.test", [f"From: {SCANNER}"], REFUSED),
    ("the null sender with another address", "scanner", "", [f"From: {CHIEF}"], REFUSED),
    ("the null sender and no From", "scanner", "", [], MAILBOX),
    ("no From, another address in the envelope", "scanner", CHIEF, [], REFUSED),
    ("no From at all", "scanner", SCANNER, [], MAILBOX),
    ("an empty From", "scanner", SCANNER, ["From:"], MAILBOX),
    ("a Sender", "scanner", SCANNER, [f"From: {SCANNER}", f"Sender: {CHIEF}"], MAILBOX),
    ("a Resent-From", "scanner", SCANNER, [f"Resent-From: {CHIEF}", f"Resent-Sender: {CHIEF}", f"From: {SCANNER}"], MAILBOX),
    ("a Sender beside what may stay as it is", "printer", BILLING, [f"From: {BILLING}", f"Sender: {CHIEF}", f"Resent-From: {CHIEF}"], BILLING),
    ("what may stay as it is, in odd letters", "printer", "Billing@corp.test", ['From: "billing"@CORP.test'], BILLING),
    ("the mailbox, which is not in the list", "printer", MAILBOX, [f"From: {MAILBOX}"], REFUSED),
    ("From after the end of the header", "scanner", SCANNER, [f"From: {SCANNER}", "no header", f"From: {CHIEF}"], MAILBOX),
    ("2,500 characters of From", "scanner", SCANNER, [f"From: {'(' * 2500} {CHIEF}"], REFUSED),
]


def data(number, lines):
    """The message of one try."""
    head = [f"Message-ID: <try-{number}@corp.test>", *lines, "To: alice@partner.test", f"Subject: try {number}"]
    return "\r\n".join([*head, "", "text", ""]).encode()


@pytest.fixture(scope="module")
def results(request, bed, microsoft, inventories):
    """Try everything, on the three ports in turn; give each try's reply and what of it arrived."""
    request.getfixturevalue("policy")
    client = testinfra.get_host("ansible://client", ansible_inventory=inventories[0])
    relay = testinfra.get_host("ansible://relay", ansible_inventory=inventories[0])
    mails = [{"login": login, "envelope": envelope, "port": 25 if not login else [25, 587, 465][number % 3], "data": data(number, lines)}
             for number, (_what, login, envelope, lines, _arrives) in enumerate(TRIES)]
    replies = hand_over(client, bed["hosts"]["relay"]["addresses"][0], mails)
    empty_queue(relay)
    arrived = {message["message_id"]: message for message in microsoft("GET", "/inbox?data=1")}
    return [(reply, arrived.get(f"<try-{number}@corp.test>")) for number, reply in enumerate(replies)]


def test_there_are_sixty_tries():
    assert len(TRIES) >= 60
    assert len({what for what, *_rest in TRIES}) == len(TRIES)


@pytest.mark.parametrize("number", range(len(TRIES)), ids=[what for what, *_rest in TRIES])
def test_nobody_sends_as_somebody_else(results, number):
    (code, text), message = results[number]
    _what, _login, envelope, _lines, expected = TRIES[number]
    if expected is REFUSED:
        assert 500 <= code <= 599, (code, text)
        assert message is None
        return
    assert code == 250, text
    assert message["envelope_from"].lower() == ("" if envelope == "" else expected)
    name, address = email.utils.parseaddr(message["header_from"])
    assert address == expected
    assert "@" not in name
    header = message["data"].replace("\r\n", "\n").partition("\n\n")[0]
    assert CHIEF not in header.replace(f"X-Note: a From: {CHIEF}", "")


def test_microsoft_had_nothing_to_refuse(results, microsoft):
    assert not refusals_of_microsoft(microsoft)


def test_the_refusal_names_the_rule(results):
    (_code, text), _message = results[1]
    assert "sender_policy_logins, rule 1 does not allow ceo@corp.test as author" in text


@pytest.mark.usefixtures("policy")
def test_local_mail_of_root_and_cron_leaves_as_the_mailbox(host, microsoft):
    for number, command in enumerate((
        "printf 'From: root (Cron Daemon)\\nTo: alice@partner.test\\nSubject: local 0\\n\\ntext\\n' | sendmail -t",
        "printf 'To: alice@partner.test\\nSubject: local 1\\n\\ntext\\n' | sendmail -t -f ceo@x.test",
        "printf 'From: Boss <ceo@x.test>\\nTo: alice@partner.test\\nSubject: local 2\\n\\ntext\\n' | sendmail -t -f '<>'",
    )):
        host.check_output(command)
        found = wait_for("the delivery", lambda subject=f"local {number}": [each for each in microsoft("GET", "/inbox") if each["subject"] == subject])
        assert email.utils.parseaddr(found[0]["header_from"])[1] == MAILBOX
        assert found[0]["envelope_from"] in (MAILBOX, "")
    assert not refusals_of_microsoft(microsoft)


def test_a_bounce_is_sent_by_the_mailbox_with_the_null_sender(results, host, lab):
    lab("POST", "/faults", {"name": "smtp_bad_outbound_sender", "times": 1})
    host.check_output("printf 'From: Boss <ceo@x.test>\\nTo: alice@partner.test\\nSubject: refused\\n\\ntext\\n' | sendmail -t -f ceo@x.test")
    [bounce] = wait_for("the bounce", lambda: lab("GET", "/inbox"))
    assert (bounce["envelope_from"], bounce["envelope_to"]) == ("", [MAILBOX])
    assert bounce["header_from"] == f"Mail Delivery System <{MAILBOX}>"
    assert not refusals_of_microsoft(lab)
