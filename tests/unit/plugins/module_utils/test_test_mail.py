# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of the test message, in the words of the log and of SMTP."""

from __future__ import annotations

import smtplib

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _test_mail

ID = "4jXR1D35dVzGMwc"
SENT = (f"{ID}: to=<a@corp.test>, relay=smtp.office365.com[172.31.9.2]:587, delay=1.2, delays=0.1/0/0.9/0.2, dsn=2.0.0, status=sent "
        "(250 2.0.0 OK <20261122@corp.test> [Hostname=X.PROD.OUTLOOK.COM] Queued mail for delivery)")
NO_NAME = (f"{ID}: to=<a@corp.test>, relay=none, delay=0.1, delays=0.1/0/0/0, dsn=4.4.3, status=deferred "
           "(Host or domain name not found. Name service error for name=smtp.office365.com type=AAAA: Host not found, try again)")
SIGNED_OUT = (f"{ID}: to=<a@corp.test>, relay=smtp.office365.com[172.31.9.2]:587, delay=1, delays=0.1/0/1/0, dsn=4.7.0, status=deferred "
              "(SASL authentication failed; cannot authenticate to server smtp.office365.com[172.31.9.2]: bad protocol / cancel)")
DENIED = (f"{ID}: to=<a@corp.test>, relay=smtp.office365.com[172.31.9.2]:587, conn_use=2, delay=1, delays=0.1/0/1/0, dsn=5.2.252, status=bounced "
          "(host smtp.office365.com[172.31.9.2] said: 554 5.2.252 SendAsDenied; a@corp.test not allowed to send as b@corp.test (in reply to end of DATA))")
OTHER = SENT.replace(ID, "4jXR1D35dVzGMwd")
ORIG_TO = SENT.replace("relay=", "orig_to=<root>, relay=")


@pytest.mark.parametrize("messages, outcome, relay, says", [
    ([SENT], "delivered", "smtp.office365.com[172.31.9.2]:587", "250 2.0.0 OK"),
    ([ORIG_TO], "delivered", "smtp.office365.com[172.31.9.2]:587", "250 2.0.0 OK"),
    ([f"{ID}: removed", OTHER, SENT, f"{ID}: removed"], "delivered", "smtp.office365.com[172.31.9.2]:587", "Queued mail for delivery"),
    ([NO_NAME], "deferred", None, "Host or domain name not found"),
    ([SIGNED_OUT], "deferred", "smtp.office365.com[172.31.9.2]:587", "bad protocol / cancel"),
    ([NO_NAME, SENT], "delivered", "smtp.office365.com[172.31.9.2]:587", "250 2.0.0 OK"),
    ([DENIED], "refused", "smtp.office365.com[172.31.9.2]:587", "SendAsDenied"),
])
def test_the_log_tells_the_outcome(monkeypatch, messages, outcome, relay, says):
    logged(monkeypatch, messages)
    found = _test_mail.follow(ID, 1700000000.5, 0)
    assert (found["outcome"], found["relay"]) == (outcome, relay)
    assert says in found["reply"]


def logged(monkeypatch, *answers):
    """Let the journal hold these messages, one list for each time that it is read."""
    answers = list(answers)

    def entries(since):
        assert since == "@1700000000.500000"
        return [(1700000001.0, "postfix/m365-billing_corp_test-bulk/smtp", text) for text in answers.pop(0)]
    monkeypatch.setattr(_test_mail._mail_log, "entries", entries)
    monkeypatch.setattr(_test_mail.time, "sleep", lambda _seconds: None)
    return answers


@pytest.mark.parametrize("messages", [[], [OTHER], [f"{ID}: client=localhost[127.0.0.1]"], [f"x {SENT}"]])
def test_the_log_of_other_messages_tells_nothing(monkeypatch, messages):
    logged(monkeypatch, messages)
    nothing = {"outcome": "waiting", "reply": None, "relay": None, "status_code": None, "cause": None, "lane": None}
    assert _test_mail.follow(ID, 1700000000.5, -1) == nothing


def test_the_journal_is_read_until_it_tells(monkeypatch):
    left = logged(monkeypatch, [], [OTHER], [DENIED])
    found = _test_mail.follow(ID, 1700000000.5, 60)
    assert (found["outcome"], found["status_code"], found["cause"]) == ("refused", "5.2.252", "send_as_denied")
    assert found["lane"] == "m365-billing_corp_test-bulk"
    assert left == []


@pytest.mark.parametrize(("lane", "mailbox"), [
    ("m365-billing_corp_test", "billing@corp.test"), ("m365-billing_corp_test-bulk", "billing@corp.test"), ("m365-scans_corp_test", "scans@corp.test"),
    ("", "scans@corp.test"), (None, "scans@corp.test"),
])
def test_the_identity_is_known_by_its_lane(monkeypatch, lane, mailbox):
    monkeypatch.setattr(_test_mail._relay_settings, "load", lambda: {"identities": [{"mailbox": "scans@corp.test"}, {"mailbox": "billing@corp.test"}]})
    assert _test_mail.identity_of(lane) == {"mailbox": mailbox}


def test_a_host_without_settings_knows_no_identity(monkeypatch, tmp_path):
    monkeypatch.setattr(_test_mail._relay_settings, "PATH", str(tmp_path / "relay.json"))
    assert _test_mail.identity_of("m365-scans_corp_test") == {}


class Client:
    """Stands for smtplib.SMTP: answers as the test says and writes down what it was told."""

    told: list = []    # noqa: RUF012
    fails: dict = {}    # noqa: RUF012

    def __init__(self, address, port, name, timeout):
        self.sock = self
        self.step("connect", (address, port))

    def step(self, name, what=None):
        self.told.append((name, what))
        if name in self.fails:
            raise self.fails[name]

    def __enter__(self):
        return self

    def __exit__(self, *_arguments):
        return False

    def getpeercert(self, binary_form):
        return b"shown" if binary_form else None

    def starttls(self, context):
        self.step("starttls")

    def login(self, username, password):
        self.step("login", (username, password))

    def mail(self, sender):
        return self.fails.get("mail reply", (250, b"2.1.0 Ok"))

    def rcpt(self, recipient):
        return self.fails.get("rcpt reply", (250, b"2.1.5 Ok"))

    def data(self, message):
        self.step("data", message)
        return self.fails.get("data reply", (250, f"2.0.0 Ok: queued as {ID}".encode()))


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(Client, "told", [])
    monkeypatch.setattr(Client, "fails", {})
    monkeypatch.setattr(_test_mail.smtplib, "SMTP", Client)
    monkeypatch.setattr(_test_mail, "addresses", lambda _parameters: ["127.0.0.1", "::1"])
    monkeypatch.setattr(_test_mail, "certificate_files", lambda _parameters: ("/etc/ssl/relay.pem", "/etc/ssl/relay.key"))
    monkeypatch.setattr(_test_mail, "leaf", lambda _path: b"shown")
    return Client


def submit():
    return _test_mail.submit(
        {"myhostname": "relay.corp.test"}, username="scanner", password="geheim-1234", sender="s@corp.test", recipient="r@corp.test", timeout=5)


def test_a_message_is_handed_over(client):
    assert submit() == ID
    assert [name for name, _what in client.told] == ["connect", "starttls", "login", "data"]
    assert client.told[0][1] == ("127.0.0.1", 587)
    text = client.told[-1][1].decode()
    assert "From: s@corp.test" in text
    assert "To: r@corp.test" in text
    assert "Subject: Test message from the relay relay.corp.test" in text


def test_the_password_is_not_told_to_another_certificate(client, monkeypatch):
    monkeypatch.setattr(_test_mail, "leaf", lambda _path: b"in the file")
    with pytest.raises(_test_mail.Refused, match=r"does not show the certificate /etc/ssl/relay.pem"):
        submit()
    assert "login" not in [name for name, _what in client.told]


@pytest.mark.parametrize("fails, says", [
    ({"connect": ConnectionRefusedError(111, "Connection refused")}, r"failed at connecting to port 587: .*Connection refused"),
    ({"connect": smtplib.SMTPConnectError(421, b"4.7.0 too many connections")}, "refused connecting to port 587: 421 4.7.0"),
    ({"starttls": smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server.")}, "failed at STARTTLS"),
    ({"login": smtplib.SMTPAuthenticationError(535, b"5.7.8 Error: authentication failed")}, "refused AUTH as scanner: 535 5.7.8"),
    ({"mail reply": (452, b"4.3.1 Insufficient system storage")}, "refused the message: 452"),
    ({"rcpt reply": (554, b"5.7.1 Access denied")}, "refused the message: 554 5.7.1"),
    ({"data reply": (552, b"5.3.4 too big")}, "refused the message: 552"),
    ({"data reply": (250, b"2.0.0 Ok")}, "named no queue id"),
])
def test_a_refusal_names_the_step_and_never_the_password(client, monkeypatch, fails, says):
    monkeypatch.setattr(client, "fails", fails)
    with pytest.raises(_test_mail.Refused, match=says) as caught:
        submit()
    assert "geheim" not in str(caught.value)
