# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module test_mail says about a message that was not delivered: the name of the cause, and what to do."""

from __future__ import annotations

import json

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _mail_log, _relay_settings
from ansible_collections.simple_m365.relay.plugins.modules import test_mail

PEER = "smtp.office365.com[192.0.2.2]"
ANSWERS = {
    "tenant": ("deferred", f"SASL authentication failed; server {PEER} said: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
                           "disabled for the Tenant.", "smtp_auth_off_tenant"),
    "send as": ("refused", f"host {PEER} said: 554 5.2.252 SendAsDenied; a not allowed to send as b (in reply to end of DATA command)", "send_as_denied"),
    "no cause known": ("deferred", "something new", None),
    "delivered": ("delivered", "250 2.0.0 OK", None),
    "not heard of": ("waiting", None, None),
}


STATUS = {"deferred": "deferred", "refused": "bounced", "delivered": "sent"}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The file in which the relay knows its identities."""
    monkeypatch.setattr(_relay_settings, "PATH", str(tmp_path / "relay.json"))
    return tmp_path / "relay.json"


def sent(monkeypatch, outcome, reply):
    """Return the module's result for a message that met this end, as the log tells it."""
    line = f"4abcdef: to=<a@corp.test>, relay={PEER}:587, delay=1, delays=0/0/1/0, dsn=4.7.0, status={STATUS.get(outcome)} ({reply})"
    monkeypatch.setattr(test_mail._open_relay, "read", lambda _path: [{}])
    monkeypatch.setattr(test_mail._test_mail, "submit", lambda *_arguments, **_options: "4abcdef")
    monkeypatch.setattr(_mail_log, "entries", lambda _since: [(1.0, "postfix/m365-scans_corp_test/smtp", line)] if reply else [])
    found = test_mail.send("scanner", "secret", "a@corp.test", None, -1)
    assert (found["outcome"], found["reply"]) == (outcome, reply)
    return found


@pytest.mark.parametrize(("outcome", "reply", "name"), ANSWERS.values(), ids=ANSWERS)
def test_cause_has_its_name(monkeypatch, outcome, reply, name):
    assert sent(monkeypatch, outcome, reply)["error_name"] == name


def test_refusal_by_the_relay_itself_is_not_microsofts(monkeypatch):
    def refuse(*_arguments, **_options):
        raise test_mail._test_mail.Refused("The relay refused AUTH as scanner: 535 5.7.8 Error: authentication failed")

    monkeypatch.setattr(test_mail._open_relay, "read", lambda _path: [{}])
    monkeypatch.setattr(test_mail._test_mail, "submit", refuse)
    assert test_mail.send("scanner", "secret", "a@corp.test", None, 1)["error_name"] is None


@pytest.mark.parametrize(("lane", "mailbox"), [("m365-scans_corp_test", "scans@corp.test"), ("m365-billing_corp_test-bulk", "billing@corp.test")])
def test_advice_names_the_mailbox_that_the_message_left_as(settings, lane, mailbox):
    settings.write_text(json.dumps({"identities": [{"mailbox": "scans@corp.test"}, {"mailbox": "billing@corp.test"}]}))
    assert f'Set-CASMailbox -Identity "{mailbox}" -SmtpClientAuthenticationDisabled $false' in test_mail.advice("smtp_auth_off_tenant", lane)


@pytest.mark.parametrize("content", [None, "{}", "damaged"])
def test_advice_has_a_placeholder_if_the_mailbox_is_not_known(settings, content):
    if content:
        settings.write_text(content)
    assert '"{mailbox}"' in test_mail.advice("smtp_auth_off_tenant", "m365-scans_corp_test")


def test_no_cause_no_advice():
    assert test_mail.advice(None, None) == ""
