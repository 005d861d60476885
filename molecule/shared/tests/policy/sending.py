# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay with a sender policy, and mail that is sent byte by byte. Tests take the fixture `policy` from here."""

from __future__ import annotations

import base64
import json

import pytest
from conftest import MAILBOX, PASSWORDS, wait_for

BILLING = "billing@corp.test"
POLICY = {
    "sender_policy_logins": [
        {"logins": ["scanner"], "addresses": ["scanner@corp.test", "*@plant.test"]},
        {"logins": ["printer"], "mode": "as_is", "addresses": [BILLING], "exclusive": True},
    ],
}

# Runs on the client: hands every message over as it stands, and prints what the relay said.
SENDER = r"""
import base64, json, smtplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
relay, passwords, mails = json.loads(base64.b64decode(sys.argv[1]))
said = []
for mail in mails:
    session = smtplib.SMTP_SSL(relay, 465, timeout=60, context=context) if mail["port"] == 465 else smtplib.SMTP(relay, mail["port"], timeout=60)
    if mail["port"] != 465:
        session.ehlo("client.corp.test")
        session.starttls(context=context)
    session.command_encoding = "utf-8"
    session.ehlo("client.corp.test")
    if mail["login"]:
        session.login(mail["login"], passwords[mail["login"]])
    reply = session.docmd("MAIL", "FROM:<%s>%s" % (mail["envelope"], " SMTPUTF8" if not mail["envelope"].isascii() else ""))
    if reply[0] == 250:
        reply = session.docmd("RCPT", "TO:<%s>" % mail["to"])
    if reply[0] == 250:
        reply = session.data(base64.b64decode(mail["data"]))
    said.append([reply[0], reply[1].decode("utf-8", "replace")])
    session.close()
print(json.dumps(said))
"""


def hand_over(client, relay, mails):
    """Give messages (dicts with login, envelope, to, port and data as bytes) to the relay from the trusted client; return its replies."""
    coded = [{"login": "", "port": 25, "to": "alice@partner.test", **mail, "data": base64.b64encode(mail["data"]).decode()} for mail in mails]
    order = base64.b64encode(json.dumps([relay, PASSWORDS, coded]).encode()).decode()
    return json.loads(client.check_output("python3 -c %s %s", SENDER, order))


@pytest.fixture(scope="module")
def policy(play, microsoft):
    """Deploy with a sender policy, and without a limit of messages; afterwards as before."""
    microsoft("POST", "/reset")
    microsoft("POST", "/settings", {"rate_limit": 0})
    microsoft("POST", "/accounts", {"account": MAILBOX, "send_as": [BILLING]})
    done = play("site", variables=POLICY)
    assert done.returncode == 0, done.stdout
    yield
    done = play("site")
    assert done.returncode == 0, done.stdout


def empty_queue(host):
    """Wait until nothing is in the queue."""
    host.check_output("postqueue -f")
    wait_for("an empty queue", lambda: not host.check_output("postqueue -j"), seconds=240)


def refusals_of_microsoft(lab):
    """Return every SendAsDenied and every complaint about From that the lab gave."""
    return [event for event in lab("GET", "/requests") if event.get("result") in ("smtp_send_as_denied", "smtp_not_rfc5322", "smtp_throttled_send_as_denied")]
