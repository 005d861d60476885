# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix's queue: what waits in it, why, and what can be done with it (private to the collection).

A message is what `postqueue -j` says of it: queue_id, queue_name (incoming, active, deferred, hold), arrival_time, message_size, sender and
recipients, each with an address and, if it was tried in vain, a delay_reason.
"""

from __future__ import annotations

import collections
import fnmatch
import itertools
import json
import math
import os
import re

from . import _catalogue
from ._commands import run

QUEUES = ("incoming", "active", "deferred", "hold")
UNKNOWN = "other"
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"    # of Postfix's long queue ids
REASON = re.compile(rb"^reason=(.*)$", re.MULTILINE)    # in the files below defer/
LONG_ID = re.compile(rf"[{DIGITS}]{{10,}}z[{DIGITS}]+")
QUEUE_ID = re.compile(r"[0-9A-Za-z]{6,30}")
# What differs from one message to the next in a reason that is the same: addresses, times, Exchange's trailer.
VARIES = re.compile(r"<[^>]*>|\[[^\]]*\]|\(in reply to [^)]*\)")
ACTIONS = {"hold": "-h", "release": "-H", "flush": "-i", "delete": "-d"}
FLUSH_SECONDS = 600


def read():
    """Return all messages of the queue. Raises CommandError."""
    output = run(["postqueue", "-j"], timeout=120).stdout.decode("utf-8", "replace")
    return json.loads(f"[{','.join(output.splitlines())}]")


def reasons(message):
    """Return why its recipients wait, the same reason once."""
    return list(dict.fromkeys(recipient["delay_reason"] for recipient in message["recipients"] if recipient.get("delay_reason")))


def named(reason, known):
    """Return the catalogue's name for a reason. known: a dict that remembers, for a queue has few reasons and many messages."""
    if reason not in known:
        like = VARIES.sub("", reason)
        if like not in known:
            entry = _catalogue.by_log_line(reason)
            known[like] = entry["name"] if entry else UNKNOWN
        known[reason] = known[like]
    return known[reason]


def causes_of(message, known):
    """Return the names of the causes for which a message waits."""
    return {named(reason, known) for reason in reasons(message)}


def summary(directory, now):
    """Return what the queue in `directory` holds, as a dict.

    total, by_queue: {queue: messages}, oldest: {queue_id, age (seconds), cause} or None, causes: [{name, messages, reason}], the most frequent first.
    It reads Postfix's files: postqueue opens every message and takes four times as long.
    """
    ids = {name: listed(f"{directory}/{name}") for name in QUEUES}
    logs = listed(f"{directory}/defer")
    deferrals = collections.Counter(itertools.chain.from_iterable(set(deferral_reasons(path)) for name, path in logs.items() if name in ids["deferred"]))
    known, causes, examples = {}, collections.Counter(), {}
    for reason, count in deferrals.items():
        name = named(reason, known)
        causes[name] += count
        examples.setdefault(name, reason)
    return {
        "total": sum(map(len, ids.values())),
        "by_queue": {name: len(found) for name, found in ids.items()},
        "oldest": oldest({queue_id: path for found in ids.values() for queue_id, path in found.items()}, logs, known, now),
        "causes": [{"name": name, "messages": count, "reason": examples[name]} for name, count in causes.most_common()],
    }


def listed(directory):
    """Return {queue id: path} of the files below a directory of the queue, however deep Postfix hashes it."""
    return {name: f"{folder}/{name}" for folder, _folders, names in os.walk(directory) for name in names}


def deferral_reasons(path):
    """Return why the recipients of a message wait, as defer(8) has written it down; nothing when it has just left."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return [reason.decode("utf-8", "replace") for reason in REASON.findall(stream.read())]
    except FileNotFoundError:
        return []


def oldest(paths, logs, known, now):
    """Return the message that has waited longest."""
    arrived = {queue_id: arrival(queue_id, path) for queue_id, path in paths.items()}
    if not arrived:
        return None
    queue_id = min(arrived, key=arrived.get)
    found = deferral_reasons(logs[queue_id]) if queue_id in logs else []
    return {"queue_id": queue_id, "age": max(0, int(now - arrived[queue_id])), "cause": named(found[0], known) if found else None}


def arrival(queue_id, path):
    """Return when a message came, in seconds since 1970. A long queue id begins with it; a short one has only the time of its file."""
    if LONG_ID.fullmatch(queue_id):
        seconds = 0
        for digit in queue_id[:6]:
            seconds = seconds * len(DIGITS) + DIGITS.index(digit)
        return seconds
    try:
        return os.stat(path).st_ctime
    except FileNotFoundError:
        return math.inf


def row(message, known, now):
    """Return one message as a line of a table."""
    return {
        "queue_id": message["queue_id"], "queue": message["queue_name"], "age": max(0, int(now - message["arrival_time"])), "size": message["message_size"],
        "sender": message["sender"], "recipients": [recipient["address"] for recipient in message["recipients"]],
        "cause": ", ".join(sorted(causes_of(message, known))) or None,
    }


def choose(messages, now, ids=(), cause=None, sender=None, recipient=None, older_than=None):
    """Return the messages that fit in all that is asked for; addresses are patterns (* ? [..]), older_than is in seconds."""
    known = {}

    def fits(message):
        addresses = [item["address"].lower() for item in message["recipients"]]
        return ((not ids or message["queue_id"] in ids)
                and (cause is None or cause in causes_of(message, known))
                and (sender is None or fnmatch.fnmatchcase(message["sender"].lower(), sender.lower()))
                and (recipient is None or any(fnmatch.fnmatchcase(address, recipient.lower()) for address in addresses))
                and (older_than is None or now - message["arrival_time"] > older_than))
    return [message for message in messages if fits(message)]


def act(action, messages):
    """Hold, release, flush or delete these messages. Returns how many Postfix says it did. Raises CommandError.

    Their ids go through standard input, all at once. A flush takes them as they are: held ones stay on hold.
    """
    ids = [message["queue_id"] for message in messages]
    if action == "flush":
        waiting = [message["queue_id"] for message in messages if message["queue_name"] == "deferred"]
        for queue_id in waiting:
            run(["postqueue", "-i", queue_id])
        return len(waiting)
    if not ids:
        return 0
    said = run(["postsuper", ACTIONS[action], "-"], stdin="".join(f"{queue_id}\n" for queue_id in ids).encode(), timeout=FLUSH_SECONDS).stderr.decode()
    found = re.findall(r"(?:Deleted|Placed on hold|Released from hold): (\d+) message", said)
    return int(found[-1]) if found else 0


def flush_all():
    """Let Postfix try everything that is deferred, now."""
    run(["postqueue", "-f"])


def show(queue_id):
    """Return a message as it lies in the queue: envelope and header, without the body. Raises CommandError, ValueError."""
    if not QUEUE_ID.fullmatch(queue_id):
        raise ValueError(f"{queue_id!r} is not a queue id")
    return run(["postcat", "-qeh", queue_id]).stdout.decode("utf-8", "replace")
