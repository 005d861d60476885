# SPDX-License-Identifier: GPL-3.0-or-later
"""SMTP submission, driven by the real smtplib: greeting, AUTH, who may send as whom, what is accepted."""
from __future__ import annotations

import base64
import smtplib
import time

import pytest
from m365 import directory
from tester import APP_ONLY, CLIENT, MAILBOX, authenticate, blob, send, until

DENIED = b"5.7.3 Authentication unsuccessful ["


def test_greeting_and_ehlo_are_exchanges(lab):
    with lab.smtp(tls=False) as client:
        code, text = client.docmd("NOOP")
        assert (code, text) == (250, b"2.0.0 OK")
        assert client.ehlo()[0] == 250
        assert client.esmtp_features["size"] == "157286400"
        assert {"pipelining", "dsn", "enhancedstatuscodes", "starttls", "8bitmime", "smtputf8"} <= set(client.esmtp_features)
        assert "auth" not in client.esmtp_features and "chunking" not in client.esmtp_features
        client.starttls(context=lab.tls)
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["LOGIN", "XOAUTH2"] and "starttls" not in client.esmtp_features
        assert client.quit() == (221, b"2.0.0 Service closing transmission channel")


def test_the_banner_says_microsoft(lab):
    with smtplib.SMTP() as client:
        assert b"Microsoft ESMTP MAIL Service ready at" in client.connect("localhost", lab.lab.smtp.port)[1]


def test_auth_before_tls_is_refused(lab):
    with lab.smtp(tls=False) as client:
        client.ehlo()
        assert client.docmd("AUTH", "XOAUTH2")[0] == 538


@pytest.mark.parametrize("one_line", [True, False])
def test_xoauth2_in_one_line_and_in_two(lab, one_line):
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, lab.token(), one_line) == (235, b"2.7.0 Authentication successful")
        assert send(client)[0] == 250
    assert lab.events("smtp auth")[0]["form"] == ("one line" if one_line else "two lines")


def test_smtplib_s_own_auth_works(lab):
    with lab.smtp() as client:
        client.auth("xoauth2", lambda challenge=None: f"user={MAILBOX}\x01auth=Bearer {lab.token()}\x01\x01")
        assert send(client)[0] == 250


@pytest.mark.parametrize(("user", "changes", "reason"), [
    (MAILBOX, {"lifetime": -5}, "expired"),
    (MAILBOX, {"audience": "https://graph.microsoft.com"}, "udience"),
    (MAILBOX, {"scope": "Mail.Read"}, "scope"),
    (MAILBOX, {"user": "admin@corp.test"}, "token of admin@corp.test"),
    (MAILBOX, {"tenant": directory.OTHER, "user": "relay@other.test"}, "tenant"),
    ("shared@corp.test", {"user": "admin@corp.test"}, "token of admin@corp.test"),
    ("nobody@corp.test", {}, "no such mailbox"),
])
def test_a_token_that_does_not_open_the_mailbox(lab, user, changes, reason):
    with lab.smtp() as client:
        code, text = authenticate(client, user, lab.token(**changes))
        assert code == 535 and text.startswith(DENIED)
    entry = lab.events("smtp refused")[0]
    assert entry["result"] == "smtp_auth_unsuccessful" and reason in entry["reason"]


def test_a_forged_signature_does_not_open_the_mailbox(lab):
    head, body, signature = lab.token().split(".")
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, f"{head}.{body}.{signature[::-1]}")[1].startswith(DENIED)


@pytest.mark.parametrize("bad", ["", "x", "user=scans@corp.test\x01\x01"])
def test_nonsense_is_no_login(lab, bad):
    with lab.smtp() as client:
        assert client.docmd("AUTH", "XOAUTH2")[0] == 334
        assert client.docmd(base64.b64encode(bad.encode()).decode())[0] == 535


def test_a_shared_mailbox_opens_with_the_token_of_one_of_its_users(lab):
    with lab.smtp() as client:
        assert authenticate(client, "shared@corp.test", lab.token(MAILBOX))[0] == 235
        assert send(client, "shared@corp.test")[0] == 250
    assert lab.inbox()[0]["mailbox"] == "shared@corp.test"


def test_an_app_opens_the_mailboxes_in_its_scope_only(lab):
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, lab.token("", client=APP_ONLY))[0] == 235
    with lab.smtp() as client:
        assert authenticate(client, "admin@corp.test", lab.token("", client=APP_ONLY))[0] == 535
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, lab.token("", client=CLIENT))[0] == 535


def test_revoked_access_tokens_are_refused_and_new_ones_are_not(lab):
    old = lab.token()
    lab.control("POST", "/revoke", {"account": MAILBOX, "access": True})
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, old)[0] == 535
        assert authenticate(client, MAILBOX, lab.token())[0] == 235


def test_a_refused_token_gets_the_challenge_when_that_is_set(lab):
    lab.set(auth_challenge=True)
    with lab.smtp() as client:
        assert client.docmd("AUTH", "XOAUTH2")[0] == 334
        code, text = client.docmd(blob(MAILBOX, "nonsense"))
        assert code == 334 and b'"status": "401"' in base64.b64decode(text)
        assert client.docmd("")[0] == 535


def test_high_volume_email_wants_some_minutes_left(lab):
    lab.set(token_minimum_left=600)
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, lab.token(lifetime=590)) == (501, b"5.5.127 Invalid XOAUTH2 auth data - Token will expire soon")
        assert authenticate(client, MAILBOX, lab.token(lifetime=620))[0] == 235


@pytest.mark.parametrize("mechanism", ["login", "plain"])
def test_passwords_are_refused(lab, mechanism):
    with lab.smtp() as client:
        client.user, client.password = MAILBOX, "secret"
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.auth(mechanism, getattr(client, f"auth_{mechanism}"))
    assert refused.value.smtp_code == 550 and refused.value.smtp_error == b"5.7.30 Basic authentication is not supported for Client Submission."


def test_mail_without_auth(lab):
    with lab.smtp() as client:
        code, text = client.mail(MAILBOX)
        assert code == 530 and text.startswith(b"5.7.57 Client not authenticated to send mail.")


def test_what_was_accepted_is_in_the_inbox_byte_for_byte(lab):
    head = f"From: =?utf-8?q?Sc=C3=A4nner?= <{MAILBOX}>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\nMessage-ID: <x@corp.test>\r\n\r\n"
    text = head.encode() + b".dot\r\n\xff\xe9\r\n"
    with lab.mailbox() as client:
        client.mail(MAILBOX, ["BODY=8BITMIME", "RET=HDRS", "ENVID=abc"])
        client.rcpt("a@example.org", ["NOTIFY=FAILURE", "ORCPT=rfc822;a@example.org"])
        client.rcpt("b@example.org")
        code, reply = client.data(text)
    assert code == 250 and reply.startswith(b"2.0.0 OK <") and b"[Hostname=" in reply
    entry, = lab.inbox(data=True)
    assert (entry["envelope_from"], entry["envelope_to"]) == (MAILBOX, ["a@example.org", "b@example.org"])
    assert (entry["mailbox"], entry["client"]) == (MAILBOX, "127.0.0.1")
    assert (entry["header_from"], entry["subject"], entry["message_id"]) == (f"Scänner <{MAILBOX}>", "Grüße", "<x@corp.test>")
    assert entry["data"].encode("latin-1") == text and entry["size"] == len(text)
    assert lab.control("GET", f"/inbox/{entry['id']}") == text
    assert lab.control("DELETE", "/inbox") == {"removed": 1} and lab.inbox() == []


def test_utf8_addresses(lab):
    with lab.mailbox() as client:
        assert client.mail(MAILBOX, ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
        assert client.docmd("RCPT TO:<grüße@example.org>")[0] == 250
        assert client.data(f"From: {MAILBOX}\r\n\r\nx\r\n")[0] == 250
    assert lab.inbox()[0]["envelope_to"] == ["grüße@example.org"]


def test_the_null_sender_is_fine_when_from_is_the_mailbox(lab):
    with lab.mailbox() as client:
        assert send(client, "", header_from=MAILBOX)[0] == 250
        assert send(client, "", header_from="mailer-daemon@relay.corp.test")[0] == 554
    assert [entry["envelope_from"] for entry in lab.inbox()] == [""]


@pytest.mark.parametrize(("envelope", "header"), [("other@corp.test", MAILBOX), (MAILBOX, "other@corp.test"), ("other@corp.test", "other@corp.test")])
def test_send_as_denied_for_the_envelope_and_for_the_header(lab, envelope, header):
    with lab.mailbox() as client:
        code, text = send(client, envelope, header)
    assert code == 554 and text.startswith(f"5.2.252 SendAsDenied; {MAILBOX} not allowed to send as other@corp.test; STOREDRV.Submission.Exception:".encode())
    assert lab.inbox() == [] and lab.control("GET", "/state")["counters"]["smtp refused smtp_send_as_denied"] == 1


def test_send_as_can_be_granted(lab):
    lab.control("POST", "/accounts", {"account": MAILBOX, "send_as": ["Sales@corp.test"]})
    with lab.mailbox() as client:
        assert send(client, "sales@corp.test")[0] == 250


def test_without_from_it_is_no_message(lab):
    with lab.mailbox() as client:
        assert send(client, MAILBOX, "")[1].startswith(b"5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant")


def test_too_many_send_as_denied_block_the_mailbox(lab):
    lab.set(send_as_denied_limit=2)
    with lab.mailbox() as client:
        assert [send(client, header_from="x@corp.test")[0] for _turn in range(2)] == [554, 554]
        code, text = send(client)
    assert code == 550 and text.startswith(b"5.2.252 Sender throttled due to continuous send as denied errors")


def test_a_message_is_accepted_only_when_its_250_was_sent(lab):
    lab.set(latency_end_of_data=0.3)
    with lab.mailbox() as client:
        client.mail(MAILBOX)
        client.rcpt("a@example.org")
        client.docmd("DATA")
        client.send(f"From: {MAILBOX}\r\n\r\nx\r\n.\r\n".encode())
        client.close()
    until(lambda: lab.events("smtp disconnect"))
    time.sleep(0.4)
    assert lab.inbox() == []


def test_unknown_commands_and_bad_order(lab):
    with lab.mailbox() as client:
        assert client.docmd("DATA") == (503, b"5.5.1 Bad sequence of commands")
        assert client.docmd("XYZZY")[0] == 500
        assert client.docmd("AUTH", "XOAUTH2") == (503, b"5.5.1 Bad sequence of commands")
        assert client.docmd("MAIL", f"FROM:<{MAILBOX}> SIZE=157286401")[0] == 552
