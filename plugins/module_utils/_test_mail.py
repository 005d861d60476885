# SPDX-License-Identifier: GPL-3.0-or-later
"""A message through the relay, followed until Microsoft 365 has answered (private to the collection)."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid

from . import _mail_log, _relay_settings, _transports
from ._certificate import leaf
from ._postfix_checks import certificate_files
from ._postfix_proof import addresses

PORT = 587
QUEUED = re.compile(r"queued as ([0-9A-Za-z]+)")
OUTCOMES = {"delivered": "delivered", "deferred": "deferred", "bounced": "refused", "expired": "refused", "refused": "refused"}


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
    """Read the journal from a time on (seconds since 1970) until it tells what became of a message.

    Returns outcome (delivered, deferred, refused, waiting) and reply, relay, status_code, cause and lane as in _mail_log; None while it waits.
    """
    deadline = time.monotonic() + timeout
    while True:
        row = last_row(_mail_log.entries(f"@{since:.6f}"), queue_id)
        if row or time.monotonic() > deadline:
            known = {key: row and row[key] for key in ("reply", "relay", "status_code", "cause", "lane")}
            return {"outcome": OUTCOMES[row["result"]] if row else "waiting", **known}
        time.sleep(0.5)


def last_row(lines, queue_id):
    """Return the last word of the log about a message, or None when it says nothing yet."""
    return next(iter([row for row in _mail_log.follow(lines) if row["queue_id"] == queue_id][::-1]), None)


def identity_of(lane):
    """Return the identity whose mail leaves by a lane, the default one for a message that has none; {} when this host knows of none."""
    try:
        identities = _relay_settings.load()["identities"]
    except _relay_settings.UnusableError:
        identities = []
    return next((one for one in identities if lane in (_transports.lane(one["mailbox"]), _transports.lane(one["mailbox"], bulk=True))), *identities[:1] or [{}])
