# SPDX-License-Identifier: GPL-3.0-or-later
"""What a relay never does, asked of the running one. The machine that runs the tests is a stranger to it."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl

import pytest
from conftest import FAMILIES, MAILBOX, PASSWORDS, RECIPIENT, connect, unverified

# Every way to write a foreign recipient that has fooled some relay.
PROBES = [
    RECIPIENT,
    "alice%partner.test@corp.test",
    "alice%partner.test@relay.corp.test",
    "alice%partner.test",
    "partner.test!alice",
    "corp.test!partner.test!alice",
    "partner.test!alice@corp.test",
    "partner.test!alice@relay.corp.test",
    '"alice@partner.test"',
    '"alice@partner.test"@corp.test',
    '"alice%partner.test"@corp.test',
    "alice@partner.test@corp.test",
    "alice@partner.test@relay.corp.test",
    "@relay.corp.test:alice@partner.test",
    "@corp.test,@relay.corp.test:alice@partner.test",
    "alice@[192.0.2.1]",
    "alice@[IPv6:2001:db8::1]",
    "postmaster@partner.test",
]
SENDERS = ["mallory@evil.test", "", MAILBOX, "root@localhost", "scans@relay.corp.test", "root"]


@pytest.fixture(params=FAMILIES)
def address(bed, request):
    """The relay's address in one family."""
    return bed["hosts"]["relay"]["addresses"][FAMILIES.index(request.param)]


@pytest.mark.parametrize("sender", SENDERS)
def test_a_stranger_gets_a_permanent_refusal_for_every_way_to_write_a_foreign_recipient(address, sender):
    for probe in PROBES:
        with smtplib.SMTP(address, 25, timeout=20) as session:
            session.ehlo("stranger.evil.test")
            assert session.docmd("MAIL", f"FROM:<{sender}>")[0] in (250, 501, 553, 554)
            code, text = session.docmd("RCPT", f"TO:<{probe}>")
            assert 500 <= code <= 599, (probe, code, text)


def test_a_stranger_is_told_554(address):
    with smtplib.SMTP(address, 25, timeout=20) as session:
        session.ehlo("stranger.evil.test")
        session.mail("mallory@evil.test")
        assert session.rcpt(RECIPIENT)[0] == 554


@pytest.mark.parametrize("port", [587, 465])
def test_nobody_sends_without_logging_in_on_a_submission_port(address, port):
    with connect(address, port) as session:
        session.ehlo("stranger.evil.test")
        replies = [session.mail(MAILBOX), session.rcpt(RECIPIENT)]
        assert any(500 <= code <= 599 for code, text in replies), replies


def test_a_trusted_client_must_log_in_on_a_submission_port_too(bed, client):
    for relay in bed["hosts"]["relay"]["addresses"]:
        answer = client.run("swaks --server '%s' --port 587 --tls --to %s --from %s --quit-after RCPT", relay, RECIPIENT, MAILBOX)
        assert answer.rc != 0
        assert "Access denied" in answer.stdout or "not logged in" in answer.stdout, answer.stdout


@pytest.mark.parametrize("port", [25, 587])
def test_auth_is_not_offered_before_tls(address, port):
    with smtplib.SMTP(address, port, timeout=20) as session:
        session.ehlo("stranger.evil.test")
        assert "starttls" in session.esmtp_features
        assert "auth" not in session.esmtp_features
        assert session.docmd("AUTH", "PLAIN AGEAYg==")[0] in (503, 530, 538)
        session.starttls(context=unverified())
        session.ehlo("stranger.evil.test")
        assert sorted(session.esmtp_features["auth"].split()) == ["LOGIN", "PLAIN"]


def test_port_465_speaks_tls_from_the_start(address):
    with socket.create_connection((address, 465), timeout=20) as plain:
        plain.sendall(b"EHLO stranger.evil.test\r\n")
        with contextlib.suppress(ConnectionResetError):  # another way to hang up on somebody who does not speak TLS
            assert plain.recv(4) == b""
    with connect(address, 465) as session:
        session.ehlo("stranger.evil.test")
        assert sorted(session.esmtp_features["auth"].split()) == ["LOGIN", "PLAIN"]


@pytest.mark.parametrize("port", [25, 587, 465])
def test_a_wrong_password_is_refused(address, port):
    with connect(address, port) as session, pytest.raises(smtplib.SMTPAuthenticationError):
        session.login("scanner", PASSWORDS["printer"])


@pytest.mark.parametrize("login", ["nobody", "scanner@other.test", "scanner@corp.test@corp.test"])
def test_an_unknown_account_is_refused(address, login):
    with connect(address, 587) as session, pytest.raises(smtplib.SMTPAuthenticationError):
        session.login(login, PASSWORDS["scanner"])


@pytest.mark.parametrize("port", [25, 587, 465])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_not_spoken(bed, port, version):
    context = unverified()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    relay = bed["hosts"]["relay"]["addresses"][0]
    # An alert comes from the relay; without one it would be this machine's own library that refused.
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        if port == 465:
            smtplib.SMTP_SSL(relay, port, timeout=20, context=context).quit()
        else:
            session = smtplib.SMTP(relay, port, timeout=20)
            session.starttls(context=context)


@pytest.mark.parametrize("command", ["VRFY root", "EXPN root", "ETRN corp.test", "DEBUG", "WIZ"])
def test_commands_that_help_only_strangers_are_off(address, command):
    with smtplib.SMTP(address, 25, timeout=20) as session:
        session.ehlo("stranger.evil.test")
        assert 500 <= session.docmd(command)[0] <= 599


def test_helo_is_required(address):
    with smtplib.SMTP(address, 25, timeout=20) as session:
        assert session.docmd("MAIL", "FROM:<mallory@evil.test>")[0] == 503


SMUGGLER = r"""
import socket, sys
relay, ending, mailbox = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode(), sys.argv[3]
with socket.create_connection((relay, 25), timeout=20) as raw:
    lines = raw.makefile("rwb")
    def say(data):
        lines.write(data); lines.flush()
        while True:
            answer = lines.readline()
            if answer[3:4] != b"-":
                return answer
    lines.readline()
    say(b"EHLO client.corp.test\r\n")
    say(b"MAIL FROM:<%s>\r\n" % mailbox.encode()); say(b"RCPT TO:<alice@partner.test>\r\n"); say(b"DATA\r\n")
    smuggled = b"MAIL FROM:<ceo@corp.test>\r\nRCPT TO:<victim@partner.test>\r\nDATA\r\nSubject: SMUGGLED\r\n\r\nx\r\n.\r\n"
    lines.write(b"Subject: carrier\r\n\r\nx" + ending + smuggled + b"\r\n.\r\n"); lines.flush()
    raw.settimeout(3)
    try:
        while lines.readline(): pass
    except OSError: pass
"""


@pytest.mark.parametrize("ending", [r"\n.\n", r"\n.\r\n", r"\r.\r", r"\r\n.\n", r"\r.\r\n"])
def test_nothing_can_be_smuggled_behind_a_bare_line_feed_even_from_a_trusted_client(bed, client, lab, host, ending):
    for relay in bed["hosts"]["relay"]["addresses"]:
        client.run("python3 -c %s %s %s %s", SMUGGLER, relay, ending, MAILBOX)
    host.check_output("postqueue -f")
    assert "victim@partner.test" not in host.check_output("postqueue -p")
    assert "victim@partner.test" not in str([message["envelope_to"] for message in lab("GET", "/inbox")])


def test_an_oversized_message_is_refused_at_once(address):
    with smtplib.SMTP(address, 25, timeout=20) as session:
        session.ehlo("stranger.evil.test")
        assert session.docmd("MAIL", f"FROM:<{MAILBOX}> SIZE=999999999")[0] == 552
