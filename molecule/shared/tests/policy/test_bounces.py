# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes back reaches somebody and says why; what is for the relay itself is read by somebody."""

from __future__ import annotations

import email
import email.policy
import re
import time

import pytest
import testinfra
from conftest import MAILBOX, RECIPIENT, connect, wait_for
from sending import empty_queue, hand_over, refusals_of_microsoft

POSTMASTER = "it@corp.test"
REFUSAL = "smtp_bad_outbound_sender"
SETTINGS = {"postfix_postmaster": POSTMASTER, "postfix_delay_warning": "5s"}
OWN_NAMES = ["root", "root@corp.test", "root@localhost", "postmaster@relay.corp.test", "abuse@relay.corp.test", "MAILER-DAEMON", "Postmaster@Localhost"]


@pytest.fixture(scope="module", autouse=True)
def deployed(deploy):
    """Deploy with a postmaster of its own; afterwards as before."""
    deploy(SETTINGS)
    yield
    deploy()


def submit_locally(host, subject, recipient=RECIPIENT):
    """Hand in a message on the host, as a program that calls itself ceo@x.test."""
    host.check_output(f"printf 'From: Boss <ceo@x.test>\\nTo: {recipient}\\nSubject: {subject}\\n\\ntext\\n' | sendmail -t -f ceo@x.test")


def arrived(lab, recipient, count=1):
    """Wait for messages to somebody; return them, parsed."""
    found = wait_for(f"mail for {recipient}", lambda: (mails := [each for each in lab("GET", "/inbox?data=1") if each["envelope_to"] == [recipient]])
                     and len(mails) >= count and mails, seconds=60)
    return [(each, email.message_from_bytes(each["data"].encode("latin-1"), policy=email.policy.default)) for each in found]


def words(mail):
    """The text that a person reads in a bounce, without its line breaks."""
    return " ".join(mail.get_body(("plain",)).get_content().split())


def test_a_bounce_names_the_cause_and_the_remedy(host, lab):
    lab("POST", "/faults", {"name": REFUSAL, "times": 1})
    submit_locally(host, "refused")
    [(bounce, mail)] = arrived(lab, MAILBOX)
    assert bounce["envelope_from"] == ""
    said = words(mail)
    assert f"Microsoft has blocked {MAILBOX}, because its mail looked like spam. What to do: Find out what sent it" in said
    assert "(sender_blocked_spam) host smtp.office365.com[" in said
    assert re.search(r"said: 5\d\d 5\.1\.8", said)
    report = mail.as_string()
    assert re.search(r"Diagnostic-Code: smtp; 5\d\d 5\.1\.8", report)
    assert "(sender_blocked_spam)" in host.check_output("journalctl --grep 'status=bounced' --lines 1 --output cat")


def test_a_bounce_that_is_refused_too_ends_at_the_postmaster(host, lab):
    lab("POST", "/faults", {"name": REFUSAL, "times": 2})
    submit_locally(host, "refused twice")
    [(notice, mail)] = arrived(lab, POSTMASTER)
    assert notice["envelope_from"] == MAILBOX
    assert MAILBOX in notice["header_from"]
    assert "refused twice" in mail.as_string()
    assert "(sender_blocked_spam)" in words(mail)
    empty_queue(host)


def test_a_notice_that_nobody_takes_leaves_a_line_in_the_log(host, lab):
    lab("POST", "/faults", {"name": REFUSAL, "times": 3})
    submit_locally(host, "refused thrice")
    wait_for("the line in the log", lambda: host.run("journalctl --since -60s --grep 'undeliverable postmaster notification discarded'").rc == 0)
    assert not lab("GET", "/inbox")


def test_who_waits_is_told_so(host, lab):
    lab("POST", "/faults", {"name": "smtp_server_busy"})
    submit_locally(host, "late")
    wait_for("the first delay", lambda: "delay_reason" in host.run("postqueue -j").stdout)
    time.sleep(6)
    host.check_output("postqueue -f")
    wait_for("the warning", lambda: host.run("journalctl --since -60s --grep 'sender delay notification'").rc == 0)
    lab("DELETE", "/faults/smtp_server_busy")
    empty_queue(host)
    [(_warning, mail)] = arrived(lab, MAILBOX)
    assert "delayed" in mail["Subject"].lower()
    assert len(arrived(lab, RECIPIENT)) == 1


@pytest.mark.parametrize("name", OWN_NAMES)
def test_what_is_for_the_relay_itself_goes_to_the_postmaster(host, lab, name):
    host.check_output("printf 'Subject: own\\n\\ntext\\n' | sendmail %s", name)
    [(mail, _parsed)] = arrived(lab, POSTMASTER)
    assert (mail["envelope_from"], mail["subject"]) == (MAILBOX, "own")


def test_cron_on_the_relay_reaches_the_postmaster(host, lab):
    mail = "From: root (Cron Daemon)\\nTo: root\\nSubject: Cron <root@relay> false\\n\\nfailed\\n"
    host.check_output(f"printf '{mail}' | sendmail -i -FCronDaemon -B8BITMIME -oem root")
    [(mail, _parsed)] = arrived(lab, POSTMASTER)
    assert mail["envelope_from"] == MAILBOX
    assert not refusals_of_microsoft(lab)


def test_postmaster_and_root_of_the_mail_domain_are_somebodys_own(bed, lab, inventories):
    client = testinfra.get_host("ansible://client", ansible_inventory=inventories[0])
    mails = [{"envelope": "a@b.test", "to": to, "data": f"From: a@b.test\r\nSubject: {to}\r\n\r\nx\r\n".encode()} for to in
             ("postmaster@corp.test", "abuse@corp.test", "postmaster@relay.corp.test")]
    replies = hand_over(client, bed["hosts"]["relay"]["addresses"][0], mails)
    assert [code for code, _text in replies] == [250, 250, 250]
    assert len(arrived(lab, "postmaster@corp.test") + arrived(lab, "abuse@corp.test") + arrived(lab, POSTMASTER)) == 3


@pytest.mark.parametrize("postmaster", ["postmaster@relay.corp.test", "root@relay.corp.test", "postmaster"])
def test_a_stranger_cannot_write_to_the_postmaster(bed, postmaster):
    with connect(bed["hosts"]["relay"]["addresses"][0], 25) as session:
        session.ehlo("stranger.evil.test")
        session.mail("a@b.test")
        assert 554 in (session.rcpt(postmaster)[0], session.docmd("DATA")[0])
