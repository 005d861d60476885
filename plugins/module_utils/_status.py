# SPDX-License-Identifier: GPL-3.0-or-later
"""How the relay is, asked of the running system (private to the collection).

Nothing is changed, and Microsoft is not asked. It is quick on a full queue, because a person or a monitoring waits for it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import smtplib
import ssl
import time

from . import _mail_log, _open_relay, _postfix_proof, _postfix_unit, _queue, _relay_settings, _renewal, _tokens, _transports
from ._commands import CommandError, run
from ._postfix_checks import certificate_files

POSTFIX = "/etc/postfix"
SASLDB = "/etc/sasldb2"
PACER = "/run/m365-relay-pacer/status.json"
TIMER = "m365-relay-token.timer"
DOCTOR = "m365-relay-doctor"
PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465}
DAY = 86400
UNUSED_DAYS = 90    # after so many days without a renewal a refresh token is dead
SOON = 14 * DAY
LITTLE_ROOM = 10    # percent
ACCEPTED, LOGIN = r"status=sent \(2", r"^login .* ok$"


def gather(now=None):
    """Return everything as a dict; `problems` are sentences about what needs somebody. Raises CommandError, OSError."""
    now = time.time() if now is None else now
    parameters, services = _open_relay.read(POSTFIX)
    try:
        identities = _relay_settings.load()["identities"]
    except _relay_settings.UnusableError:
        identities = []
    with concurrent.futures.ThreadPoolExecutor() as pool:    # most of it is waiting for others
        asked = {
            "ports": pool.submit(ports, parameters, services),
            "queue": pool.submit(_queue.summary, parameters["queue_directory"], now),
            "identities": pool.submit(lambda: [identity_status(identity, now) for identity in identities]),
            "accounts": pool.submit(accounts),
            "certificate": pool.submit(certificate, parameters),
            "timer": pool.submit(unit_is_active, TIMER),
        }
        found = {name: answer.result() for name, answer in asked.items()}
    found.update(at=int(now), hostname=parameters["myhostname"], postfix_runs=_postfix_unit.master_pid(parameters["queue_directory"]) is not None,
                 disk=disk(parameters["queue_directory"]), pacer=pacer())
    found["last_accepted_at"] = max((item["last_accepted_at"] for item in found["identities"]), default=0)
    found["last_login_at"] = max((item["last_login_at"] for item in found["identities"]), default=0)
    return dict(found, problems=problems(found, now))


def ports(parameters, services):
    """Connect to every port on which Postfix takes mail. Returns [{port, address, ok, answer}]; answer is the greeting's code, or why it is not 220."""
    numbers = {number_of(service["name"].rpartition(":")[2]) for service in services if service["type"] == "inet"}
    return [dict(greeting(address, port), port=port, address=address)
            for port in sorted(numbers - {None}) for address in _postfix_proof.addresses(parameters)]


def number_of(name):
    """Return the number of a port, or None for a service that takes no mail."""
    return int(name) if name.isdigit() else PORTS.get(name)


def greeting(address, port):
    """Return whether a port greets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE    # whether it answers is asked, not who
    try:
        if port == 465:
            client = smtplib.SMTP_SSL(address, port, "localhost", timeout=2, context=context)
        else:
            client = smtplib.SMTP(address, port, "localhost", timeout=2)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            client.quit()
        return {"ok": True, "answer": "220"}
    except smtplib.SMTPConnectError as error:
        return {"ok": False, "answer": f"answers {error.smtp_code} {error.smtp_error.decode('utf-8', 'replace')}"}
    except (OSError, smtplib.SMTPException) as error:
        return {"ok": False, "answer": f"does not answer: {error}"}


def identity_status(identity, now):
    """Return what is known of one identity, its token and its last successes."""
    mailbox = identity["mailbox"]
    state = _renewal.known(mailbox)
    used_at = max(state["signed_in_at"], state["renewed_at"])
    clock = used_at and not _tokens.is_app_only(identity)
    accepted, login = last_successes(mailbox)
    return {
        "mailbox": mailbox, "sign_in_as": identity["sign_in_as"], "tenant_id": identity["tenant_id"], "grant": identity["grant"],
        "token": token(identity, state, now),
        "renewed_at": used_at, "rotated_at": state["rotated_at"],
        "failures": state["failures"], "last_error": state["last_error"], "next_attempt_at": state["next_attempt_at"],
        "credential_expires_at": state["credential_expires_at"],
        "days_left": max(0, int(UNUSED_DAYS - (now - used_at) / DAY)) if clock else None,
        "last_accepted_at": accepted, "last_login_at": max(accepted, login),
    }


def token(identity, state, now):
    """Return what the token file says, and never the token: state (good, expired, or the catalogue's name for what is wrong), whose, expires_at."""
    try:
        found = _tokens.load(_tokens.token_path(identity["mailbox"]))
        wrong = _tokens.why_not_good(found, identity)
    except (OSError, ValueError):
        found, wrong = None, ("token_damaged", "")
    if found is None or (wrong and wrong[0] == "token_damaged"):
        return {"state": wrong[0], "whose": None, "expires_at": 0}
    expires_at = _tokens.expiry(found)
    whose = _tokens.owner_of(found["access_token"]) or state["whose"]
    return {"state": wrong[0] if wrong else "good" if expires_at > now else "expired", "whose": whose, "expires_at": expires_at}


def last_successes(mailbox):
    """Return when Microsoft last accepted a message of a mailbox, and when the doctor last logged in for it; 0 for what the journal does not know."""
    programs = [f"postfix/{_transports.lane(mailbox, bulk)}/smtp" for bulk in (False, True)]
    accepted = _mail_log.last(programs, ACCEPTED)
    login = _mail_log.last([DOCTOR], LOGIN.replace(".*", mailbox.replace(".", r"\.")))
    return int(accepted[0]) if accepted else 0, int(login[0]) if login else 0


def accounts():
    """Return how many accounts can log in to the relay, or None when that cannot be read."""
    if not os.path.exists(SASLDB):
        return 0
    try:
        return sum(line.endswith(b": userPassword") for line in run(["sasldblistusers2", "-f", SASLDB]).stdout.splitlines())
    except CommandError:
        return None


def certificate(parameters):
    """Return the path of the certificate that clients see, and when it expires (0: not known)."""
    files = certificate_files(parameters)
    path = files[0] if files else None
    expires_at = 0
    if path:
        with contextlib.suppress(CommandError, ValueError):
            said = run(["openssl", "x509", "-noout", "-enddate", "-in", path]).stdout.decode()
            expires_at = int(ssl.cert_time_to_seconds(said.partition("=")[2].strip()))
    return {"path": path, "expires_at": expires_at}


def unit_is_active(name):
    """Tell whether a unit of systemd's runs."""
    try:
        return run(["systemctl", "is-active", "--quiet", name], check=False).returncode == 0
    except CommandError:
        return False


def disk(directory):
    """Return the room that is left for the queue."""
    room = os.statvfs(directory)
    return {
        "path": directory, "free_bytes": room.f_bavail * room.f_frsize, "free_percent": 100 * room.f_bavail // room.f_blocks if room.f_blocks else 100,
        "free_files_percent": 100 * room.f_favail // room.f_files if room.f_files else 100,    # some file systems count no files
    }


def pacer():
    """Return what the pacer says of each mailbox, or None where there is no pacer."""
    with contextlib.suppress(OSError, ValueError):
        return (_tokens.load(PACER) or {}).get("mailboxes")
    return None


def problems(found, now):
    """Return what needs somebody, as sentences."""
    told = [] if found["postfix_runs"] else ["Postfix does not run: systemctl status postfix."]
    told += [f"Port {item['port']} on {item['address']} {item['answer']}." for item in found["ports"] if not item["ok"]]
    told += [] if found["timer"] else [f"{TIMER} does not run: tokens will run out. systemctl enable --now {TIMER}"]
    told += [] if found["identities"] else [f"{_relay_settings.PATH} names no identity: run site.yml."]
    for item in found["identities"]:
        told += identity_problems(item, now)
    told += [f"{cause['messages']} messages wait because of {cause['name']}: m365-relay doctor tells what to do." for cause in found["queue"]["causes"]]
    if min(found["disk"]["free_percent"], found["disk"]["free_files_percent"]) < LITTLE_ROOM:
        told.append(f"The disk of the queue is nearly full: {found['disk']['path']}.")
    expires_at = found["certificate"]["expires_at"]
    if expires_at and expires_at < now + SOON:
        told.append(f"The certificate {found['certificate']['path']} {ends(expires_at, now)}.")
    told += [f"{mailbox}: Microsoft's limit for today is reached, mail waits." for mailbox, said in (found["pacer"] or {}).items() if said.get("held")]
    return told


def identity_problems(item, now):
    """Return what is wrong with one identity."""
    told = []
    if item["token"]["state"] != "good":
        told.append(f"{item['mailbox']}: its token is not good ({item['token']['state']}).")
    if item["last_error"]:
        told.append(f"{item['mailbox']}: the last renewal failed ({item['last_error'].get('name')}). {item['last_error'].get('remedy') or ''}".strip())
    if item["credential_expires_at"] and item["credential_expires_at"] < now + SOON:
        told.append(f"{item['mailbox']}: its secret or certificate {ends(item['credential_expires_at'], now)}.")
    if item["days_left"] is not None and item["days_left"] * DAY < SOON:
        told.append(f"{item['mailbox']}: its sign-in ends in {item['days_left']} days unless it is renewed.")
    return told


def ends(expires_at, now):
    """Return when something ends, as an end of a sentence."""
    return "has expired" if expires_at <= now else f"expires in {int((expires_at - now) / DAY)} days"
