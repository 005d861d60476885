# SPDX-License-Identifier: GPL-3.0-or-later
"""Steady mail while tokens live for a minute: whether a message ever waits for a token, and who asks for new ones, for each grant."""

from __future__ import annotations

import collections
import email.message
import json
import pathlib
import smtplib
import ssl
import subprocess
import sys
import threading
import time
import uuid

import control
import shared
import testbed
from m365 import directory

APPS = {"device_code": shared.CLIENT_ID, "client_secret": "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "client_certificate": "cccccccc-1111-4222-8333-444444444444"}
MAILBOXES = {"device_code": shared.MAILBOX, "client_secret": "billing@corp.test", "client_certificate": "reports@corp.test"}
LIFETIME, THRESHOLD, PERIOD, WINDOW = 60, 30, 10, 10    # seconds: of a token; renewed when less is left; between two looks; the plugin's own
ARRIVAL = 10    # seconds in which what was sent last has to arrive


def variables(certificate):
    """Return the inventory of a relay with one identity for each grant, and one account that sends through each."""
    secret = directory.APPS[APPS["client_secret"]]["secrets"][0]
    credentials = {"client_secret": {"client_secret": secret}, "client_certificate": {"client_certificate": str(certificate)}}
    return {
        "xoauth2_identities": [{"mailbox": mailbox, "tenant_id": shared.TENANT, "client_id": APPS[grant], "grant": grant, **credentials.get(grant, {})}
                               for grant, mailbox in MAILBOXES.items()],
        "xoauth2_refresh_window": WINDOW, "xoauth2_renewal_threshold": THRESHOLD, "xoauth2_renewal_period": PERIOD,
        "sasldb_users": [{"name": grant, "password": shared.PASSWORD} for grant in MAILBOXES],
        "sender_policy_logins": [{"logins": [grant], "mailbox": mailbox} for grant, mailbox in MAILBOXES.items()],
        "postfix_messages_per_minute": 0, "postfix_recipients_per_day": 0,
    }


def make_certificate(folder):
    """Make a certificate with its key in one PEM file; return (that file, the certificate alone)."""
    key, certificate, both = folder / "app.key", folder / "app.crt", folder / "app.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=relay", "-keyout", str(key),
                    "-out", str(certificate)], check=True, capture_output=True)
    both.write_text(key.read_text(encoding="utf-8") + certificate.read_text(encoding="utf-8"), encoding="utf-8")
    return both, certificate.read_text(encoding="utf-8")


def prepare_microsoft(microsoft, certificate):
    """Let tokens live for a minute, lift the limits, and make the app that signs in by certificate."""
    microsoft("POST", "/accounts", {"account": MAILBOXES["client_certificate"], "tenant": shared.TENANT})
    microsoft("POST", "/apps", {"client_id": APPS["client_certificate"], "tenant": shared.TENANT, "name": "Relay with a certificate", "public": False,
                                "certificates": [certificate], "mailboxes": [MAILBOXES["client_certificate"]]})
    microsoft("POST", "/settings", {"access_token_lifetime": LIFETIME, "rate_limit": 0, "connection_limit": 0, "recipients_per_day": 0})


def send_steadily(address, login, until, sent):
    """Hand in one message a second, each in a session of its own, as devices do."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    moment = time.monotonic()
    while moment < until:
        mail = email.message.EmailMessage()
        mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "device@corp.test", f"{login}@partner.test", "steady", f"<{uuid.uuid4()}@corp.test>"
        mail.set_content("A line of text.\n")
        with smtplib.SMTP(address, 587, timeout=30) as session:
            session.starttls(context=context)
            session.login(login, shared.PASSWORD)
            session.send_message(mail)
        sent.append(mail["Message-ID"])
        moment += 1
        time.sleep(max(0, moment - time.monotonic()))


def send_all(address, minutes):
    """Send through all identities at the same time; return {grant: Message-IDs} and how many seconds it took."""
    started, sent = time.monotonic(), {grant: [] for grant in MAILBOXES}
    senders = [threading.Thread(target=send_steadily, args=(address, grant, started + minutes * 60, sent[grant])) for grant in MAILBOXES]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return sent, time.monotonic() - started


def outcomes(bed):
    """Return how often the relay's log names each outcome of a delivery."""
    log = shared.on_host(bed, "relay", "journalctl --quiet --facility=mail --output=cat | grep --only-matching 'status=[a-z]*' || true")
    return dict(collections.Counter(log.split()))


def figures_of(grant, sent, arrived, asked, seconds):
    """Return what is told of one grant."""
    return {
        "grant": grant, "sent": len(sent), "lost": sum(arrived[one] == 0 for one in sent), "twice": sum(arrived[one] > 1 for one in sent),
        "token requests": len(asked), "renewal periods": int(seconds // PERIOD), "by the plugin": sum("sasl" in one["agent"] for one in asked),
    }


def main():
    """Deploy, send, count, print a table."""
    made = shared.parser("steady", __doc__)
    made.add_argument("--minutes", type=float, default=30)
    options = made.parse_args()
    bed = testbed.load(shared.name_of(options.inventory))

    def microsoft(method, path, body=None):
        return control.call(bed["control"], method, path, body)

    pem, certificate = make_certificate(pathlib.Path(options.inventory).parent)
    prepare_microsoft(microsoft, certificate)
    shared.deploy(bed, variables(pem))
    since = time.time()
    sent, seconds = send_all(bed["hosts"]["relay"]["addresses"][0], options.minutes)
    time.sleep(ARRIVAL)
    arrived = collections.Counter(one["message_id"] for one in microsoft("GET", "/inbox"))
    asked = [event for event in shared.microsofts_log(bed, since) if event["what"] == "signin token"]
    rows = [figures_of(grant, sent[grant], arrived, [event for event in asked if event.get("client_id") == APPS[grant]], seconds) for grant in MAILBOXES]
    shared.table(rows, list(rows[0]))
    print(f"{seconds / 60:.1f} minutes; the relay's log: {json.dumps(outcomes(bed))}")
    shared.keep(options.json, {"minutes": round(seconds / 60, 1), "outcomes": outcomes(bed), "grants": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
