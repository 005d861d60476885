# SPDX-License-Identifier: GPL-3.0-or-later
"""Real mail programs hand mail to the relay in every way it promises; it arrives at Microsoft's stand-in, once."""

from __future__ import annotations

import uuid

import pytest
from conftest import FAMILIES, MAILBOX, PASSWORDS, RECIPIENT, submit

WAYS = [(25, None), *((port, login) for port in (25, 587, 465) for login in ("scanner", "scanner@corp.test"))]

SMTPLIB = """
import smtplib, ssl, sys, email.message
relay, port, login, password, sender, recipient, message_id = sys.argv[1:8]
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
session = smtplib.SMTP_SSL(relay, int(port), context=context) if port == "465" else smtplib.SMTP(relay, int(port))
if port != "465" and login: session.starttls(context=context)
if login: session.login(login, password)
mail = email.message.EmailMessage()
mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = sender, recipient, "smtplib", message_id
mail.set_content("text")
session.send_message(mail)
"""


def swaks(relay, port, login, message_id):
    tls = {25: "--tls" if login else "", 587: "--tls", 465: "--tlsc"}[port]
    auth = f"--auth PLAIN --auth-user {login} --auth-password {PASSWORDS['scanner']}" if login else ""
    return f"swaks --server '{relay}' --port {port} {tls} {auth} --from {MAILBOX} --to {RECIPIENT} --header 'Message-Id: {message_id}'"


def msmtp(relay, port, login, message_id):
    tls = f"--tls=on --tls-certcheck=off --tls-starttls={'off' if port == 465 else 'on'}" if login else "--tls=off"
    auth = f"--auth=plain --user={login} --passwordeval='echo {PASSWORDS['scanner']}'" if login else "--auth=off"
    mail = f"From: {MAILBOX}\nTo: {RECIPIENT}\nMessage-ID: {message_id}\nSubject: msmtp\n\ntext\n"
    return f"printf '%s' '{mail}' | msmtp --host='{relay}' --port={port} {tls} {auth} --from={MAILBOX} {RECIPIENT}"


def curl(relay, port, login, message_id):
    address = f"[{relay}]" if ":" in relay else relay
    tls = "--ssl-reqd --insecure" if login else ""
    auth = f"--user '{login}:{PASSWORDS['scanner']}'" if login else ""
    mail = f"From: {MAILBOX}\nTo: {RECIPIENT}\nMessage-ID: {message_id}\nSubject: curl\n\ntext\n"
    return (f"printf '%s' '{mail}' | curl --silent --show-error --crlf --globoff {tls} {auth} --mail-from {MAILBOX} --mail-rcpt {RECIPIENT} "
            f"--upload-file - '{'smtps' if port == 465 else 'smtp'}://{address}:{port}/client.corp.test'")


def smtplib(relay, port, login, message_id):
    return f"python3 -c '{SMTPLIB}' '{relay}' {port} '{login or ''}' '{PASSWORDS['scanner']}' {MAILBOX} {RECIPIENT} '{message_id}'"


def nullmailer(relay, port, login, message_id):
    options = {25: "--starttls --insecure" if login else "", 587: "--starttls --insecure", 465: "--ssl --insecure"}[port]
    auth = f"--user={login} --pass={PASSWORDS['scanner']}" if login else ""
    mail = f"{MAILBOX}\n{RECIPIENT}\n\nFrom: {MAILBOX}\nTo: {RECIPIENT}\nMessage-ID: {message_id}\nSubject: nullmailer\n\ntext\n"
    send = f"HELOHOST=client.corp.test /usr/lib/nullmailer/smtp --port={port} {options} {auth} --host='{relay}'"
    return f"printf '%s' '{mail}' > /tmp/nullmailer.msg && {send} 3< /tmp/nullmailer.msg"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("port", "login"), WAYS)
@pytest.mark.parametrize("program", [swaks, msmtp, curl, smtplib, nullmailer])
def test_a_real_mail_program_delivers(bed, lab, client, program, port, login, family):
    message_id = f"<{uuid.uuid4()}@corp.test>"
    relay = bed["hosts"]["relay"]["addresses"][FAMILIES.index(family)]
    answer = client.run(program(relay, port, login, message_id))
    assert answer.rc == 0, answer.stdout + answer.stderr
    copies = lab.delivered(message_id, seconds=20)
    assert len(copies) == 1
    assert (copies[0]["mailbox"], copies[0]["envelope_from"], copies[0]["envelope_to"]) == (MAILBOX, MAILBOX, [RECIPIENT])


@pytest.mark.parametrize("sender", ["printer@corp.test", "Copier 3 <copier@floor3.corp.test>", "root@localhost"])
def test_mail_of_a_device_leaves_as_the_mailbox(bed, lab, sender):
    copies = lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0], sender=sender))
    assert len(copies) == 1
    assert copies[0]["envelope_from"] == MAILBOX
    assert MAILBOX in copies[0]["header_from"]


def test_local_mail_of_the_host_itself_arrives(lab, host):
    message_id = f"<{uuid.uuid4()}@corp.test>"
    mail = f"To: {RECIPIENT}\nMessage-ID: {message_id}\nSubject: cron\n\ntext\n"
    host.check_output("printf '%%s' %s | sendmail -t", mail)
    assert len(lab.delivered(message_id)) == 1
