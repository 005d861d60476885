# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's app that signs in by itself: its credentials, and a login with a relay's token."""

from __future__ import annotations

import json
import subprocess

CORP, OTHER = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-000000000000"
APP, OTHER_APP = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "dddddddd-eeee-4fff-8000-111111111111"
SECRET = "lab8Q~a-client-secret-that-only-the-lab-knows"
PASSPHRASE = "planted-passphrase"
LOGIN = """
import json, smtplib, ssl, sys
token = json.load(open(sys.argv[1]))
session = smtplib.SMTP("smtp.office365.com", 587, timeout=20)
session.starttls(context=ssl.create_default_context())
session.ehlo()
print(session.auth("XOAUTH2", lambda challenge=None: f"user={token['user']}\\x01auth=Bearer {token['access_token']}\\x01\\x01")[0])
session.quit()
"""


def certificates(folder):
    """Make a certificate; return its paths as PEM (with the key) and PFX, and its text for the lab."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=relay", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)
    subprocess.run(["openssl", "pkcs12", "-export", "-in", folder / "cert.pem", "-inkey", folder / "key.pem", "-out", folder / "app.pfx",
                    "-passout", f"pass:{PASSPHRASE}"], check=True, capture_output=True)
    text = (folder / "cert.pem").read_text(encoding="utf-8")
    (folder / "app.pem").write_text(text + (folder / "key.pem").read_text(encoding="utf-8"), encoding="utf-8")
    return str(folder / "app.pem"), str(folder / "app.pfx"), text


def token_of(host, mailbox):
    """Return a mailbox's token file on the relay."""
    return json.loads(host.check_output("cat /var/lib/m365-relay/tokens/%s", mailbox))


def signs_in(host, mailbox):
    """Tell whether Microsoft lets the relay in with the mailbox's token."""
    done = host.run("python3 -c %s %s", LOGIN, f"/var/lib/m365-relay/tokens/{mailbox}")
    return done.stdout.strip() == "235"


def command(host, *arguments):
    """Run m365-relay with --json; return its exit code and what it said."""
    done = host.run("m365-relay " + " ".join(arguments) + " --json")
    return done.rc, json.loads(done.stdout)
