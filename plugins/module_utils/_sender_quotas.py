# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a sender may hand in: messages an hour, recipients a day, both sliding (private to the collection).

Only senders whose rule has such a limit are counted. What is counted stands in a file, a line for each accepted message, so that
a restart forgets nothing; the file is written at most once a second, and made short when it is read.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os

HOUR, DAY = 60, 24 * 60    # minutes
LONGEST = 200_000          # lines of the file, before it is made short


def excess(rule, rows, recipients, minute):
    """Return (whether waiting helps, what a message is too much for, as a sentence); None when it may come in."""
    if rule.recipients_per_day and recipients > rule.recipients_per_day:
        return False, f"{rule.place} allows {rule.recipients_per_day} recipients a day, and this message alone has {recipients}."
    if rule.recipients_per_day and recipients + sum(row[2] for row in rows if row[0] > minute - DAY) > rule.recipients_per_day:
        return True, f"{rule.place} allows {rule.recipients_per_day} recipients a day, and they are used up. Try again later."
    if rule.messages_per_hour and sum(row[1] for row in rows if row[0] > minute - HOUR) >= rule.messages_per_hour:
        return True, f"{rule.place} allows {rule.messages_per_hour} messages an hour, and they are used up. Try again later."
    return None


def count(usage, sender, messages, recipients, minute):
    """Count what a sender handed in; what is older than a day is forgotten."""
    rows = usage.setdefault(sender, collections.deque())
    while rows and rows[0][0] <= minute - DAY:
        rows.popleft()
    if rows and rows[-1][0] == minute:
        rows[-1][1] += messages
        rows[-1][2] += recipients
    else:
        rows.append([minute, messages, recipients])


def read(path, minute):
    """Return what a file tells of the last day: {sender: rows of [minute, messages, recipients]}. A line that broke off counts for nothing."""
    usage, lines = {}, []
    with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii", errors="replace") as stream:
        lines = stream.readlines()
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            when, sender, messages, recipients = json.loads(line)
            if minute - DAY < when <= minute:
                count(usage, sender, messages, recipients, when)
    return usage


class Ledger:
    """What senders have handed in, in memory and in a file."""

    def __init__(self, path, minute):
        """Read the file, and write it anew: as short as it can be, and without a line that broke off."""
        self.path, self.usage, self.unwritten, self.length = path, read(path, minute), [], 0
        self.shorten()

    def claim(self, rule, sender, recipients, minute):
        """Count a message when it may come in; otherwise return why not, as `excess` does."""
        if not rule.recipients_per_day and not rule.messages_per_hour:
            return None
        against = excess(rule, self.usage.get(sender, ()), recipients, minute)
        if not against:
            count(self.usage, sender, 1, recipients, minute)
            self.unwritten.append([minute, sender, 1, recipients])
        return against

    def write(self):
        """Write what was counted since the last time."""
        if self.length + len(self.unwritten) > LONGEST:
            self.shorten()
        elif self.unwritten:
            with open(self.path, "a", encoding="ascii") as stream:
                stream.writelines(f"{json.dumps(line)}\n" for line in self.unwritten)
            self.length += len(self.unwritten)
            self.unwritten = []

    def shorten(self):
        """Write the file anew, a line for each sender and minute, old or new at any moment."""
        rows = [[row[0], sender, *row[1:]] for sender, rows in self.usage.items() for row in rows]
        with open(f"{self.path}.new", "w", encoding="ascii") as stream:
            stream.writelines(f"{json.dumps(row)}\n" for row in rows)
        os.replace(f"{self.path}.new", self.path)
        self.length, self.unwritten = len(rows), []
