# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module test_mail says about a message that was not delivered: the name of the cause, and what to do."""

from __future__ import annotations

import json

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _tokens
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


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The directory where the relay remembers its identities."""
    monkeypatch.setattr(_tokens, "STATE", str(tmp_path))
    return tmp_path


def sent(monkeypatch, outcome, reply):
    """Return the module's result for a message that met this end."""
    monkeypatch.setattr(test_mail._open_relay, "read", lambda _path: [{}])
    monkeypatch.setattr(test_mail._test_mail, "submit", lambda *_arguments, **_options: "4abc")
    monkeypatch.setattr(test_mail._test_mail, "follow", lambda *_arguments: {"outcome": outcome, "reply": reply, "relay": None, "status_code": None})
    return test_mail.send("scanner", "secret", "a@corp.test", None, 1)


@pytest.mark.parametrize(("outcome", "reply", "name"), ANSWERS.values(), ids=ANSWERS)
def test_cause_has_its_name(monkeypatch, outcome, reply, name):
    assert sent(monkeypatch, outcome, reply)["error_name"] == name


def test_refusal_by_the_relay_itself_is_not_microsofts(monkeypatch):
    def refuse(*_arguments, **_options):
        raise test_mail._test_mail.Refused("The relay refused AUTH as scanner: 535 5.7.8 Error: authentication failed")

    monkeypatch.setattr(test_mail._open_relay, "read", lambda _path: [{}])
    monkeypatch.setattr(test_mail._test_mail, "submit", refuse)
    assert test_mail.send("scanner", "secret", "a@corp.test", None, 1)["error_name"] is None


def test_advice_names_the_mailbox_of_the_relay(state):
    (state / "scans@corp.test.json").write_text(json.dumps({"mailbox": "scans@corp.test", "signed_in_at": 1}))
    assert 'Set-CASMailbox -Identity "scans@corp.test" -SmtpClientAuthenticationDisabled $false' in test_mail.advice("smtp_auth_off_tenant")


@pytest.mark.parametrize("files", [{}, {"a@b.json": "{}", "c@d.json": "{}"}, {"a@b.json": "damaged"}, {"a@b.lock": ""}], ids=["none", "two", "damaged", "lock"])
def test_advice_has_a_placeholder_if_the_mailbox_is_not_known(state, files):
    for name, content in files.items():
        (state / name).write_text(content)
    assert '"{mailbox}"' in test_mail.advice("smtp_auth_off_tenant")


def test_no_cause_no_advice():
    assert test_mail.advice(None) == ""
