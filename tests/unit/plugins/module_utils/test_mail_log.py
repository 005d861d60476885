# SPDX-License-Identifier: GPL-3.0-or-later
"""A line a message, from what Postfix writes to the journal; and nothing secret in it."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _mail_log

LANE = "postfix/m365-scans_corp_test/smtp"
IN = [
    "A1B2C3: client=scanner.corp.test[192.0.2.7], sasl_method=PLAIN, sasl_username=scanner@corp.test",
    "A1B2C3: message-id=<1@corp.test>",
    "A1B2C3: from=<scans@corp.test>, size=500, nrcpt=1 (queue active)",
]
SENT = ("A1B2C3: to=<alice@partner.test>, relay=smtp.office365.com[192.0.2.2]:587, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 OK "
        "<0123456789abcdef0123456789abcdef@AM1.outlook.com> [Hostname=AM1.outlook.com])")
DENIED = ("A1B2C3: to=<bob@partner.test>, relay=smtp.office365.com[192.0.2.2]:587, delay=1, delays=0/0/1/0, dsn=5.2.252, status=bounced (host "
          "smtp.office365.com[192.0.2.2] said: 554 5.2.252 SendAsDenied; a not allowed to send as b (in reply to end of DATA command))")
DEFERRED = ("A1B2C3: to=<alice@partner.test>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to "
            "smtp.office365.com[192.0.2.2]:587: Connection refused)")


def read(*texts):
    """Return the rows for these lines of the log."""
    return _mail_log.messages((1.5 + number, LANE, text) for number, text in enumerate(texts))


def test_a_message_is_one_row_with_its_last_result():
    rows = read(*IN, DEFERRED, DEFERRED, SENT, "A1B2C3: removed")
    assert [(row["result"], row["who"], row["sender"], row["recipients"], row["cause"], row["lane"]) for row in rows] == [
        ("delivered", "scanner@corp.test", "scans@corp.test", ["alice@partner.test"], None, "m365-scans_corp_test")]


def test_a_message_of_which_one_recipient_was_refused_is_no_success():
    rows = read(*IN, DENIED, SENT)
    assert [(row["result"], row["cause"], row["recipients"]) for row in rows] == [
        ("bounced", "send_as_denied", ["bob@partner.test", "alice@partner.test"])]


ENDS = {
    "deferred": (DEFERRED, "deferred", "smtp_port_closed"),
    "bounced": (DENIED, "bounced", "send_as_denied"),
    "expired": ("A1B2C3: from=<scans@corp.test>, status=expired, returned to sender", "expired", "expired_in_queue"),
}


@pytest.mark.parametrize(("text", "result", "cause"), ENDS.values(), ids=ENDS)
def test_what_was_not_delivered_has_its_cause(text, result, cause):
    row = read(*IN, text)[-1]
    assert (row["result"], row["cause"], row["who"]) == (result, cause, "scanner@corp.test")


REFUSALS = {
    "a stranger": ("NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 5.7.1 <x@y.test>: Relay access denied; from=<a@b.test> to=<x@y.test> proto=ESMTP "
                   "helo=<z>", "unknown[198.51.100.7]", "a@b.test", ["x@y.test"], "client_not_allowed_to_relay"),
    "the sender policy": ("A1B2C3: milter-reject: END-OF-MESSAGE from scanner.corp.test[192.0.2.7]: 5.7.1 You may not send as b@corp.test; from=<b@corp.test> "
                          "to=<x@y.test> proto=ESMTP helo=<z>", "scanner@corp.test", "b@corp.test", ["x@y.test"], None),
}


@pytest.mark.parametrize(("text", "who", "sender", "recipients", "cause"), REFUSALS.values(), ids=REFUSALS)
def test_what_was_not_taken_is_told(text, who, sender, recipients, cause):
    row = read(IN[0], text)[-1]
    assert (row["result"], row["who"], row["sender"], row["recipients"], row["cause"]) == ("refused", who, sender, recipients, cause)


def test_what_came_before_the_time_that_is_shown_has_no_sender():
    assert read(SENT)[0]["who"] is None


@pytest.mark.parametrize("text", ["connect from x[192.0.2.7]", "disconnect from x[192.0.2.7] ehlo=1", "statistics: max connection rate 1/60s", ""])
def test_other_lines_are_no_messages(text):
    assert read(text) == []


def test_what_is_removed_is_forgotten():
    known = {}
    list(_mail_log.follow(((1, LANE, text) for text in [*IN, SENT, "A1B2C3: removed"]), known))
    assert known == {}


TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlLmNvbSJ9.c2lnbmF0dXJl"
OPAQUE = "EwB4A8l6BAAU" + "Q2-_" * 20
SECRETS = [
    f"Authorization: Bearer {TOKEN}", f"Bearer {OPAQUE}", '"refresh_token" : "0.AAAAshort"', '{"access_token":"short-one"}', "client_secret=abc~DEF.123",
    "password=planted", "TokenStore::Read: refresh=" + OPAQUE, f"335 {OPAQUE}==", "device_code: GAB-12",
]


@pytest.mark.parametrize("text", SECRETS, ids=lambda text: text[:25])
def test_tokens_and_passwords_are_removed(text):
    told = _mail_log.redacted(text)
    assert "(removed)" in told
    for secret in (TOKEN, OPAQUE, "AAAAshort", "short-one", "DEF.123", "planted", "GAB-12"):
        assert secret not in told


@pytest.mark.parametrize("text", ["535 5.7.3 Authentication unsuccessful [AM9P193CA0012.EURP193.PROD.OUTLOOK.COM 2026-11-22T10:00:00.000Z 08DE29A1AF3C]",
                                  "token expired", "the bearer of this"])
def test_what_is_no_secret_stays(text):
    assert _mail_log.redacted(text) == text


def test_addresses_are_hidden_but_not_their_domains():
    assert _mail_log.without_addresses("550 <alice.b+c@partner.test>: a@b.test unknown") == "550 <...@partner.test>: ...@b.test unknown"
