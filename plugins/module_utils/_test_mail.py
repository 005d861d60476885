# SPDX-License-Identifier: GPL-3.0-or-later
"""A message through the relay, followed until Microsoft 365 has answered (private to the collection)."""

from __future__ import annotations

import json
import re
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid

from ._certificate import leaf
from ._commands import run
from ._postfix_checks import certificate_files
from ._postfix_proof import addresses

PORT = 587
QUEUED = re.compile(r"queued as ([0-9A-Za-z]+)")
OUTCOMES = {"sent": "delivered", "deferred": "deferred", "bounced": "refused", "expired": "refused"}


class Refused(Exception):
    """The relay itself did not take the message; the text says at which step and why."""


def message(sender, recipient, host):
    """Return the test message."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = f"Test message from the relay {host}"
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = make_msgid(domain=host)
    mail.set_content(f"The relay {host} took this message after AUTH on port {PORT} and handed it to Microsoft 365.\n")
    return mail


def submit(parameters, *, username, password, sender, recipient, timeout):
    """Hand the test message to Postfix on this host as a client does; return its queue id. Raises Refused.

    The password is sent only to whoever shows the certificate that Postfix is configured with.
    """
    step = f"connecting to port {PORT}"
    try:
        with smtplib.SMTP(addresses(parameters)[0], PORT, "localhost", timeout=timeout) as client:
            step = "STARTTLS"
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE    # compared with the very certificate below
            client.starttls(context=context)
            certificate = certificate_files(parameters)[0]
            if client.sock.getpeercert(binary_form=True) != leaf(certificate):
                raise Refused(f"Port {PORT} does not show the certificate {certificate}, so the password was not sent. Run site.yml to bring it into use.")
            step = f"AUTH as {username}"
            client.login(username, password)
            step = "the message"
            return hand_over(client, message(sender, recipient, parameters["myhostname"]), sender, recipient)
    except smtplib.SMTPResponseException as error:
        raise Refused(f"The relay refused {step}: {error.smtp_code} {text(error.smtp_error)}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise Refused(f"The relay failed at {step}: {error}") from None


def hand_over(client, mail, sender, recipient):
    """Send one message in an open session; return its queue id. Raises SMTPResponseException, Refused."""
    for code, reply in (client.mail(sender), client.rcpt(recipient), client.data(mail.as_bytes())):
        if code != 250:
            raise smtplib.SMTPResponseException(code, reply)
    queued = QUEUED.search(text(reply))
    if not queued:
        raise Refused(f"The relay took the message and named no queue id: {text(reply)}")
    return queued.group(1)


def text(reply):
    """Return an SMTP reply as one line."""
    return " ".join(reply.decode("utf-8", "replace").split())


def follow(queue_id, since, timeout):
    """Read the journal until it tells what became of a message.

    Returns {"outcome": "delivered"|"deferred"|"refused"|"waiting", "reply", "relay", "status_code"}: the last three None while it waits.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = outcome(journal(since), queue_id)
        if found or time.monotonic() > deadline:
            return found or {"outcome": "waiting", "reply": None, "relay": None, "status_code": None}
        time.sleep(0.5)


def journal(since):
    """Return what the mail programs logged since a time (seconds since the epoch), as a list of texts."""
    output = run(["journalctl", "--quiet", "--output=json", f"--since=@{since:.6f}", "SYSLOG_FACILITY=2"]).stdout
    messages = [json.loads(line).get("MESSAGE") for line in output.decode("utf-8", "replace").splitlines()]
    return [message for message in messages if isinstance(message, str)]


def outcome(messages, queue_id):
    """Return what the log says about a message, the last word first, or None when it says nothing yet."""
    delivery = re.compile(rf"{queue_id}: to=<.*?>,.* relay=([^,]+),.* dsn=([\d.]+), status=(\w+) \((.*)\)")
    for line in reversed(messages):
        match = delivery.match(line)
        if match and match.group(3) in OUTCOMES:
            relay, status_code, status, reply = match.groups()
            return {"outcome": OUTCOMES[status], "reply": reply, "relay": None if relay == "none" else relay, "status_code": status_code}
    return None
