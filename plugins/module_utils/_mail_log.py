# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each message, read from the journal (private to the collection).

A row is a dict: at (seconds), queue_id, who (account or client that handed it over), sender, recipients (list), lane (Postfix's service that
delivered it, "" for the common one), result (delivered, deferred, bounced, expired, refused: not taken at all), cause (name in the
catalogue, or None), reply, relay and status_code (of the server that answered; None where none did).
"""

from __future__ import annotations

import json
import re
import subprocess

from . import _catalogue
from ._commands import run

# The first word is the queue id, in its long form or its short one.
WITH_ID = re.compile(r"([0-9A-Za-z]{6,30}): (.*)", re.DOTALL)
CLIENT = re.compile(r"client=(\S+\[[^\]]*\])")
LOGIN = re.compile(r"sasl_username=([^,\s]+)")
FROM = re.compile(r"from=<(.*?)>")
TO = re.compile(r"\bto=<(.*?)>")
DELIVERY = re.compile(r"to=<(.*?)>,.* relay=([^,]+),.* dsn=([\d.]+), status=(\w+) \((.*)\)\s*$", re.DOTALL)
REJECT = re.compile(r"(?:milter-)?reject: \S+ from (\S+\[[^\]]*\])\S*: (\d{3} .*?|\d\.\d\.\d .*?)(?:; from=<(.*?)>.*)?$", re.DOTALL)
EXPIRED = "status=expired, returned to sender"
RESULTS = {"sent": "delivered", "deferred": "deferred", "bounced": "bounced", "expired": "expired"}
# Everything that could be a token or a password: what follows such a name, and whatever is long without a blank.
NAMED_SECRET = re.compile(
    r"""(?i)\b(bearer|(?:access_|refresh_|id_)?token|client_secret|client_assertion|password|passwd|device_code|user_code)("?\s*[:=]\s*"?)[^\s"',;&]+""")
BEARER = re.compile(r"(?i)\b(bearer\s+)[^\s\"',;&]{16,}")
LONG_SECRET = re.compile(r"(?<![\w.~+/=-])[\w.~+/=-]{40,}(?![\w.~+/=@-])")    # a message id goes on with its @
ADDRESS = re.compile(r"[^\s<>@\"'=:;,()\[\]]+@([\w.-]+)")


def redacted(text):
    """Return a text without anything that could be a token or a password."""
    for pattern, left in ((NAMED_SECRET, r"\1\2(removed)"), (BEARER, r"\1(removed)"), (LONG_SECRET, "(removed)")):
        text = pattern.sub(left, text)
    return text


def without_addresses(text):
    """Return a text in which of every address only the domain is left."""
    return ADDRESS.sub(r"...@\1", text)


def entries(since=None, until=None, follow=False):
    """Yield (seconds, program, text) of what the mail programs wrote to the journal, oldest first."""
    argv = ["journalctl", "--quiet", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", "SYSLOG_FACILITY=2"]
    argv += [f"--{name}={value}" for name, value in (("since", since), ("until", until)) if value]
    if follow:
        argv += ["--follow"] if since else ["--follow", "--lines=0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            for line in process.stdout:
                entry = json.loads(line)
                if isinstance(entry.get("MESSAGE"), str):
                    yield int(entry["__REALTIME_TIMESTAMP"]) / 1e6, entry.get("SYSLOG_IDENTIFIER") or "", entry["MESSAGE"]
        finally:
            process.terminate()


def follow(lines, known=None):
    """Yield the row of a message each time that the log (entries) tells something of its fate."""
    known = {} if known is None else known
    for at, program, text in lines:
        found = learn(at, program, text, known)
        if found:
            yield found


def learn(at, program, text, known):
    """Take in one line of the log. Returns the message's row when the line says what became of it, else None."""
    line = WITH_ID.match(text)
    queue_id, said = line.groups() if line else (None, text)
    if queue_id in (None, "NOQUEUE") or said.startswith("milter-reject: "):
        return refusal(at, queue_id, said, known)
    if said == "removed":
        known.pop(queue_id, None)
        return None
    about = known.setdefault(queue_id, {"who": None, "sender": None})
    client, login, sender = CLIENT.match(said), LOGIN.search(said), FROM.match(said)
    if client:
        about["who"] = login.group(1) if login else client.group(1)
    elif said.startswith("uid="):
        about["who"] = said.partition(" ")[0]
    if sender:
        about["sender"] = sender.group(1)
        return row(at, queue_id, about, "expired", EXPIRED, program) if EXPIRED in said else None
    delivery = DELIVERY.match(said)
    if delivery and delivery.group(4) in RESULTS:
        recipient, relay, status_code, status, reply = delivery.groups()
        found = row(at, queue_id, about, RESULTS[status], reply, program, [recipient])
        return dict(found, relay=None if relay == "none" else relay, status_code=status_code)
    return None


def refusal(at, queue_id, said, known):
    """Return the row of a message that was not taken, or None."""
    rejected = REJECT.match(said)
    if not rejected:
        return None
    client, reply, sender = rejected.groups()
    about = {**known.get(queue_id, {}), "sender": sender}
    about["who"] = about.get("who") or client
    return row(at, queue_id, about, "refused", reply, "", TO.findall(said.partition("; from=")[2]))


def row(at, queue_id, about, result, reply, program, recipients=()):
    """Return what is known of a message."""
    name = None
    if result != "delivered":
        entry = _catalogue.by_log_line(reply)
        name = entry["name"] if entry else None
    service = program.split("/")[1] if program.count("/") >= 2 else ""
    return {"at": at, "queue_id": queue_id, "who": about["who"], "sender": about["sender"], "recipients": list(recipients), "lane": service, "result": result,
            "cause": name, "reply": redacted(reply), "relay": None, "status_code": None}


def messages(lines):
    """Return one row for each message, with its last result, in the order in which that was written."""
    found = {}
    for number, item in enumerate(follow(lines)):
        key = item["queue_id"] or number
        before = found.pop(key, None)
        if before:
            lost = before["result"] in ("bounced", "expired") and item["result"] == "delivered"
            found[key] = dict(before if lost else item, recipients=list(dict.fromkeys(before["recipients"] + item["recipients"])))
        else:
            found[key] = item
    return list(found.values())


def last(identifiers, pattern):
    """Return (seconds, text) of the last line of these programs that fits a regular expression, or None. The journal is read backwards."""
    argv = ["journalctl", "--quiet", "--output=json", "--output-fields=MESSAGE", "--reverse", "--lines=1", f"--grep={pattern}", "--case-sensitive=true"]
    output = run([*argv, *(f"--identifier={name}" for name in identifiers)], check=False).stdout.decode("utf-8", "replace").splitlines()
    for line in output:
        entry = json.loads(line)
        if isinstance(entry.get("MESSAGE"), str):
            return int(entry["__REALTIME_TIMESTAMP"]) / 1e6, entry["MESSAGE"]
    return None
