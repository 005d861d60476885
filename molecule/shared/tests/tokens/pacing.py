# SPDX-License-Identifier: GPL-3.0-or-later
"""Bursts against Microsoft's limits, with the minute ten times shorter. Tests take the fixture `scaled` from here."""

from __future__ import annotations

import collections
import json
import time

import pytest
from conftest import MAILBOX, RECIPIENT, message, wait_for

SETTINGS = "/etc/m365-relay/pacer.json"
STATE = "/var/lib/m365-relay-pacer"
STATUS = "/run/m365-relay-pacer/status.json"
WINDOW, MARGIN, LIMIT = 6, 0.3, 30
FAST = {"latency_ehlo": 0.01, "latency_auth": 0.03, "latency_end_of_data": 0.04}
SLOW = {"latency_ehlo": 0.05, "latency_auth": 0.07, "latency_end_of_data": 0.11}    # 1.7 s, less what the hosts take, who are not ten times faster

# Runs on the relay: hands messages to Postfix on loopback, from several senders in turn, over one session each.
BURST = r"""
import json, smtplib, sys
order, recipient = json.loads(sys.stdin.read())
for sender, mails in order:
    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as session:
        for mail in mails:
            session.sendmail(sender, [recipient], mail)
"""


def write(host, path, content):
    """Write a file of the relay in one step."""
    host.check_output("printf %%s %s > %s.new && mv %s.new %s", json.dumps(content), path, path, path)


def settings(host, **changes):
    """Change what the pacer goes by, for every mailbox; it reads the file again by itself."""
    content = json.loads(host.check_output("cat %s", SETTINGS))
    for limit in content["limits"].values():
        limit.update(changes)
    write(host, SETTINGS, content)


def status(host, mailbox=MAILBOX):
    """Return what the pacer says of a mailbox."""
    return json.loads(host.check_output("cat %s", STATUS))["mailboxes"][mailbox]


def burst(host, count, senders=5, recipient=RECIPIENT):
    """Hand this many messages over at once, from several senders; return their Message-IDs."""
    mails = [message(sender=f"device{number % senders}@corp.test", subject=f"burst {number}") for number in range(count)]
    order = [(f"device{sender}@corp.test", [mail.as_string() for mail in mails[sender::senders]]) for sender in range(senders)]
    done = host.run("printf %%s %s | python3 -c %s", json.dumps([order, recipient]), BURST)
    assert done.rc == 0, done.stderr
    return [mail["Message-ID"] for mail in mails]


def refusals(lab):
    """Return everything that the lab refused."""
    return [event for event in lab("GET", "/requests") if event["what"] in ("smtp refused", "smtp error")]


def arrived(lab, sent, seconds):
    """Wait until all have arrived; return when each did. Nothing else came, and nothing twice."""
    wait_for(f"{len(sent)} messages at Microsoft's", lambda: len(lab("GET", "/inbox")) >= len(sent), seconds=seconds)
    inbox = lab("GET", "/inbox")
    assert collections.Counter(item["message_id"] for item in inbox) == collections.Counter(sent)
    return sorted(item["received"] for item in inbox)


def quiet(host):
    """Wait until the window is empty and nothing waits."""
    wait_for("a window without messages", lambda: (now := status(host))["messages_in_window"] == 0 == now["waiting"], seconds=90)


@pytest.fixture(scope="module")
def scaled(host, deploy):
    """A relay whose pacer counts in windows of six seconds; afterwards as before."""
    deploy()
    settings(host, messages=LIMIT, seconds=WINDOW, margin=MARGIN)
    yield
    deploy()


@pytest.fixture
def limits(lab, host, scaled):
    """The stand-in with Microsoft's limits, ten times faster; gives a function that sets the model and the server's speed."""
    def choose(model, speed):
        lab("POST", "/settings", {"limit_model": model, "rate_limit": LIMIT, "rate_window": WINDOW, "connection_limit": 3, **speed})
        time.sleep(WINDOW)
        quiet(host)
        return lab
    return choose
