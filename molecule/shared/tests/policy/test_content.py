# SPDX-License-Identifier: GPL-3.0-or-later
"""Real mail arrives byte for byte, but for the header fields that the policy is about. Without its service nothing passes unchecked, and nothing is lost."""

from __future__ import annotations

import base64
import collections
import random
import re
import smtplib
import threading
import time

import pytest
import sending
import testinfra
from conftest import MAILBOX, RECIPIENT, connect, message, wait_for
from sending import BILLING, empty_queue, hand_over, refusals_of_microsoft

# What relays add in front, and what the policy is about.
ADDED = {"received", "x-priority-added"}
CHANGED = {"from", "reply-to", "sender", "resent-from", "resent-sender", "resent-reply-to"}
SERVICE = "m365-relay-policy.service"
policy = sending.policy
pytestmark = pytest.mark.usefixtures("policy")

PDF = base64.encodebytes(b"%PDF-1.4\n" + random.Random(1).randbytes(30000)).decode().replace("\n", "\r\n")

COMMON = "To: alice@partner.test\r\nDate: Sun, 01 Nov 2026 09:05:01 +0100\r\nMessage-ID: <{id}>\r\n"

# What it is -> (envelope sender, login, the message)
MAILS = {
    "a scanner's PDF with odd headers": ("scanner@plant.test", "", (
        "from:MFP-07 <scanner@plant.test>\r\nTO:  Alice  <alice@partner.test>\r\nSUBJECT:=?UTF-8?B?U2Nhbg==?=\r\nMIME-VERSION:1.0\r\nX-Mailer:\r\n"
        "x-odd-header:value without a blank\r\nDate: Sun, 1 Nov 2026 9:05:01 +0100 (CET)\r\nMessage-Id:<{id}>\r\n"
        "Content-Type: application/pdf;\r\n\tname=\"scan 1.pdf\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + PDF)),
    "a newsletter with a DKIM signature": ("news@shop.test", "", (
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=shop.test; s=k1;\r\n\th=From:To:Subject:Date;\r\n"
        "\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=dGhpcyBpcyBub3QgYSByZWFsIHNpZ25hdHVyZQ==\r\n"
        "From: Shop <news@shop.test>\r\nSubject: News\r\n" + COMMON + "List-Unsubscribe: <https://shop.test/u?x=1>,\r\n <mailto:u@shop.test>\r\n"
        "Precedence: bulk\r\n\r\nHello,  \r\n\r\n.\r\n..two dots\r\n\t tab\r\n\r\n")),
    "an S/MIME message": ("scanner@plant.test", "", (
        "From: scanner@plant.test\r\n" + COMMON + "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\";\r\n"
        " micalg=\"sha-256\"; boundary=\"----=_b\"\r\n\r\nThis is an S/MIME signed message\r\n\r\n------=_b\r\nContent-Type: text/plain\r\n\r\n"
        "Signed text with blanks at the end   \r\n\r\n------=_b\r\nContent-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nMIIBAAYJKoZIhvcNAQcCoIIB\r\n------=_b--\r\n")),
    "8-bit text and headers": ("a@b.test", "", (
        "From: B\xfcro <a@b.test>\r\nSubject: Gr\xfc\xdfe\r\n" + COMMON + "Content-Type: text/plain; charset=iso-8859-1\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n\xc4rger \xfcber \xd6l \x80\xff\r\n")),
    "addresses in UTF-8": ("jörg@bücher.test", "", (
        "From: Jörg <jörg@bücher.test>\r\nCc: Zoë <zoë@bücher.test>\r\nSubject: Größe\r\n" + COMMON + "\r\nÄrger\r\n")),
    "mail that may stay as it is": (BILLING, "printer", (
        f"From: \"Billing, Corp.\"\r\n\t<{BILLING}>\r\nSender: {BILLING}\r\nReply-To: x@y.test\r\nSubject: Invoice\r\n" + COMMON + "\r\ntext\r\n")),
    "30 MB": ("scanner@plant.test", "", "From: scanner@plant.test\r\nSubject: large\r\n" + COMMON + "\r\n" + "0123456789" * 7 + "\r\n"),
}


def fields(data):
    """Split a message: the header fields as they stand, without the ones that relays add, and the body."""
    head, _end, body = data.partition(b"\r\n\r\n")
    found = re.split(rb"\r\n(?![ \t])", head)
    return [field for field in found if field.partition(b":")[0].strip().decode().lower() not in ADDED], body


def unchanged(field):
    """Whether the policy has nothing to do with a header field."""
    return field.partition(b":")[0].strip().decode().lower() not in CHANGED


def raw(what):
    """The bytes of a mail."""
    data = MAILS[what][2].replace("{id}", f"{re.sub('[^A-Za-z0-9]', '.', what)}@b.test")
    head, _end, body = data.partition("\r\n\r\n")
    if what == "30 MB":
        body *= 30 * 1024 * 1024 // len(body)
    return f"{head}\r\n\r\n{body}".encode("utf-8" if "UTF-8" in what else "latin-1")


@pytest.mark.parametrize("what", MAILS)
def test_mail_arrives_byte_for_byte(bed, host, lab, inventories, what):
    lab("POST", "/accounts", {"account": MAILBOX, "send_as": [BILLING]})
    client = testinfra.get_host("ansible://client", ansible_inventory=inventories[0])
    sent, message_id = raw(what), f"<{re.sub('[^A-Za-z0-9]', '.', what)}@b.test>"
    small = sent if len(sent) < 90000 else sent[:1]
    mail = {"envelope": MAILS[what][0], "login": MAILS[what][1], "port": 587 if MAILS[what][1] else 25}
    if small is sent:
        assert hand_over(client, bed["hosts"]["relay"]["addresses"][0], [{**mail, "data": sent}])[0][0] == 250
    else:
        with connect(bed["hosts"]["relay"]["addresses"][0], 587) as session:
            session.login("scanner", "planted-Pa55word-scanner")
            session.sendmail(mail["envelope"], RECIPIENT, sent)
    [arrived] = lab.delivered(message_id)
    before, after = fields(sent), fields(arrived["data"].encode("latin-1"))
    assert list(filter(unchanged, after[0])) == list(filter(unchanged, before[0]))
    assert after[1] == before[1]
    if MAILS[what][1] == "printer":
        assert after[0] == before[0]
    assert not refusals_of_microsoft(lab)


def keep_killing(host, stop, killed):
    """Kill the service a moment after each of its starts, until told to stop."""
    while not stop.wait(0.1):
        if host.run("systemctl is-active %s && sleep 0.3 && systemctl kill --signal=KILL %s", SERVICE, SERVICE).rc == 0:
            killed.append(True)


def signed_in(address):
    """Open a session and sign in."""
    session = connect(address, 587)
    session.login("scanner", "planted-Pa55word-scanner")
    return session


def send_until_taken(address, count, deferred):
    """Hand messages over as a mail server does: after a temporary failure again, and again. Return their Message-IDs."""
    mails = [message(sender="Boss <scanner@corp.test>") for _turn in range(count)]
    waiting, session = list(mails), None
    while waiting:
        try:
            session = session or signed_in(address)
            session.send_message(waiting[0], "scanner@corp.test", RECIPIENT)
            waiting.pop(0)
        except (smtplib.SMTPException, OSError) as error:
            code = getattr(error, "smtp_code", 421)
            assert 400 <= code <= 499, error
            deferred.append(code)
            session = session and session.close()
            time.sleep(0.05)
    return [mail["Message-ID"] for mail in mails]


def test_500_messages_while_the_service_is_killed_again_and_again(bed, host, lab):
    deferred, killed, stop = [], [], threading.Event()
    killer = threading.Thread(target=keep_killing, args=(host, stop, killed))
    killer.start()
    try:
        sent = send_until_taken(bed["hosts"]["relay"]["addresses"][0], 500, deferred)
    finally:
        stop.set()
        killer.join()
    wait_for("the service", lambda: host.run("systemctl is-active %s", SERVICE).rc == 0)
    empty_queue(host)
    assert len(killed) >= 5
    assert deferred, "no message met a dead service: the test has shown nothing"
    arrived = lab("GET", "/inbox")
    assert collections.Counter(each["message_id"] for each in arrived) == collections.Counter(sent)
    assert {(each["envelope_from"], each["header_from"]) for each in arrived} == {(MAILBOX, f"Boss <{MAILBOX}>")}
    assert not refusals_of_microsoft(lab)


def test_while_the_service_is_stopped_mail_is_deferred_at_the_door_and_waits_on_the_host(bed, host, lab):
    host.check_output("systemctl stop %s", SERVICE)
    try:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            signed_in(bed["hosts"]["relay"]["addresses"][0])
        assert 400 <= refused.value.smtp_code <= 499
        host.check_output("printf 'To: alice@partner.test\\nSubject: waits\\n\\ntext\\n' | sendmail -t")
        time.sleep(2)
        assert not lab("GET", "/inbox")
    finally:
        host.check_output("systemctl start %s", SERVICE)
    host.check_output("postqueue -f")
    found = wait_for("the delivery", lambda: [each for each in lab("GET", "/inbox") if each["subject"] == "waits"], seconds=120)
    assert found[0]["envelope_from"] == MAILBOX


def test_a_new_policy_counts_at_once_and_a_broken_one_never(bed, host, lab, play):
    pid = host.check_output("systemctl show --property=MainPID --value %s", SERVICE)
    done = play("senders", variables={"sender_policy_default": {"addresses": ["only@corp.test"]}, "sender_policy_logins": []})
    assert done.returncode == 0, done.stdout
    with connect(bed["hosts"]["relay"]["addresses"][0], 587) as session:
        session.login("scanner", "planted-Pa55word-scanner")
        with pytest.raises(smtplib.SMTPDataError, match="sender_policy_default does not allow scanner@corp"):
            session.send_message(message(sender="scanner@corp.test"), "scanner@corp.test", RECIPIENT)
        host.check_output("printf broken >> /etc/m365-relay/sender_policy.json")
        with pytest.raises(smtplib.SMTPDataError, match="sender_policy_default does not allow scanner@corp"):
            session.send_message(message(sender="scanner@corp.test"), "scanner@corp.test", RECIPIENT)
    assert "the old policy stays" in host.check_output("journalctl --unit %s --lines 3 --output cat", SERVICE)
    assert host.check_output("systemctl show --property=MainPID --value %s", SERVICE) == pid
