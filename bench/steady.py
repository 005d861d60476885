# SPDX-License-Identifier: GPL-3.0-or-later
"""Steady mail while tokens live for a minute: does any message wait for a token, and who asks for new ones, for each grant."""

from __future__ import annotations

import argparse
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

TREE = pathlib.Path(__file__).resolve().parent.parent
TENANT = "11111111-2222-4333-8444-555555555555"
APP_OF_PEOPLE, APP_WITH_SECRET, APP_WITH_CERTIFICATE = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "cccccccc-1111-4222-8333-444444444444"
SECRET = "lab8Q~a-client-secret-that-only-the-lab-knows"
MAILBOXES = {"device_code": "scans@corp.test", "client_secret": "billing@corp.test", "client_certificate": "reports@corp.test"}
PASSWORD = "planted-Pa55word-steady"
LIFETIME, THRESHOLD, PERIOD, WINDOW = 60, 30, 10, 10    # seconds: of a token; renewed when less is left; between two looks; the plugin's own


def variables(certificate):
    """Return the inventory of a relay with one identity for each grant, and one account that sends through each."""
    identities = [
        {"mailbox": MAILBOXES["device_code"], "tenant_id": TENANT, "client_id": APP_OF_PEOPLE},
        {"mailbox": MAILBOXES["client_secret"], "tenant_id": TENANT, "client_id": APP_WITH_SECRET, "grant": "client_secret", "client_secret": SECRET},
        {"mailbox": MAILBOXES["client_certificate"], "tenant_id": TENANT, "client_id": APP_WITH_CERTIFICATE, "grant": "client_certificate",
         "client_certificate": str(certificate)},
    ]
    return {
        "xoauth2_identities": identities, "xoauth2_refresh_window": WINDOW, "xoauth2_renewal_threshold": THRESHOLD, "xoauth2_renewal_period": PERIOD,
        "sasldb_users": [{"name": grant, "password": PASSWORD} for grant in MAILBOXES],
        "sender_policy_logins": [{"logins": [grant], "mailbox": mailbox} for grant, mailbox in MAILBOXES.items()],
        "postfix_messages_per_minute": 0, "postfix_recipients_per_day": 0, "postfix_client_message_rate_limit": 0, "postfix_client_auth_rate_limit": 0,
    }


def make_certificate(folder):
    """Make a certificate with its key in one PEM file, and tell Microsoft's stand-in to trust it. Returns (file, certificate alone)."""
    key, certificate = folder / "app.key", folder / "app.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=relay", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    both = folder / "app.pem"
    both.write_text(key.read_text(encoding="utf-8") + certificate.read_text(encoding="utf-8"), encoding="utf-8")
    return both, certificate.read_text(encoding="utf-8")


def message(recipient):
    """Return a small message with a Message-ID of its own."""
    mail = email.message.EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "device@corp.test", recipient, "steady", f"<{uuid.uuid4()}@corp.test>"
    mail.set_content("A line of text.\n")
    return mail


def send_steadily(address, login, until, sent):
    """Hand in one message a second, each in a session of its own, as devices do."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    moment = time.monotonic()
    while moment < until:
        mail = message(f"{login}@partner.test")
        with smtplib.SMTP(address, 587, timeout=30) as session:
            session.starttls(context=context)
            session.login(login, PASSWORD)
            session.send_message(mail)
        sent.append(mail["Message-ID"])
        moment += 1
        time.sleep(max(0, moment - time.monotonic()))


def on_relay(bed_inventory, command):
    """Run a command on the relay; return what it printed."""
    return subprocess.run(["ansible", "relay", "--inventory", bed_inventory, "--one-line", "--module-name", "ansible.builtin.shell", "--args", command],
                          cwd=TREE, capture_output=True, text=True, check=True).stdout


def count(bed_inventory, pattern):
    """Return how many lines of the relay's log hold a pattern."""
    said = on_relay(bed_inventory, f"journalctl --quiet --facility=mail --output=cat | grep --count --extended-regexp '{pattern}' || true")
    return int(said.rsplit("(stdout)", 1)[-1].split()[0])


def main():
    """Deploy, send, count, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--json", metavar="FILE", help="keep the figures")
    options = parser.parse_args()
    folder = pathlib.Path(options.inventory).parent
    bed = json.loads((folder / "testbed.json").read_text(encoding="utf-8"))

    def microsoft(method, path, body=None):
        return control.call(bed["control"], method, path, body)

    pem, public = make_certificate(folder)
    microsoft("POST", "/accounts", {"account": MAILBOXES["client_certificate"], "tenant": TENANT})
    microsoft("POST", "/apps", {"client_id": APP_WITH_CERTIFICATE, "tenant": TENANT, "name": "Relay with a certificate", "public": False,
                                "certificates": [public], "mailboxes": [MAILBOXES["client_certificate"]]})
    microsoft("POST", "/settings", {"access_token_lifetime": LIFETIME, "rate_limit": 0, "connection_limit": 0, "recipients_per_day": 0})
    microsoft("POST", "/person", {"account": MAILBOXES["device_code"]})
    deployed = subprocess.run(["ansible-playbook", f"--inventory={options.inventory}", f"--inventory={TREE / 'molecule' / 'shared' / 'inventory'}",
                               "--extra-vars", json.dumps(variables(pem)), "simple_m365.relay.site"], cwd=TREE, capture_output=True, text=True, check=False)
    if deployed.returncode != 0:
        sys.exit(f"site.yml failed:\n{deployed.stdout[-4000:]}")
    microsoft("DELETE", "/requests")
    microsoft("DELETE", "/inbox")
    address, started, sent = bed["hosts"][options.host]["addresses"][0], time.monotonic(), {grant: [] for grant in MAILBOXES}
    senders = [threading.Thread(target=send_steadily, args=(address, grant, started + options.minutes * 60, sent[grant])) for grant in MAILBOXES]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    seconds = time.monotonic() - started
    time.sleep(10)    # what is on its way arrives
    arrived = collections.Counter(one["message_id"] for one in microsoft("GET", "/inbox"))
    tokens = [one for one in microsoft("GET", "/requests") if one["what"] == "token"]
    figures = {"minutes": round(seconds / 60, 1), "deferred": count(options.inventory, "status=deferred"), "bounced": count(options.inventory, "status=bounced")}
    for grant, mailbox in MAILBOXES.items():
        asked = [one for one in tokens if mailbox == one.get("account") or one.get("client_id") == APP_OF_GRANT[grant]]
        figures[grant] = {
            "sent": len(sent[grant]), "lost": sum(arrived[one] == 0 for one in sent[grant]), "twice": sum(arrived[one] > 1 for one in sent[grant]),
            "token requests": len(asked), "renewal periods": int(seconds // PERIOD),
            "by the plugin": sum("sasl" in str(one.get("agent", "")).lower() for one in asked),
        }
    print(json.dumps(figures, indent=2))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


APP_OF_GRANT = {"device_code": APP_OF_PEOPLE, "client_secret": APP_WITH_SECRET, "client_certificate": APP_WITH_CERTIFICATE}

if __name__ == "__main__":
    sys.exit(main())
