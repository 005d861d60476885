# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompt or bulk: the lane of a message, so that one sender's thousand never make another one wait (private to the collection).

Mail of a mailbox leaves by two lanes, and the prompt one is served first. Who hands in more than a few messages goes by the bulk lane
until that work can be over. When it is, is estimated: a line of messages that grows by every message of the mailbox and shrinks as
fast as the mailbox may send; when nobody is left in it, everybody is prompt again.
"""

from __future__ import annotations

FEW = 10               # messages that a sender may hand in at once and still be prompt
STEADY = 0.2           # the part of the mailbox's rate that a sender may use all the time and still be prompt


def is_bulk(lines, mailbox, sender, per_minute, now):
    """Put a message into its mailbox's line; tell whether it goes by the bulk lane.

    lines: what is remembered, {} at the start. sender: who handed it in. now: seconds of a clock that never goes back.
    A mailbox without a limit (0 a minute) has no line, and everybody is prompt.
    """
    if not per_minute:
        return False
    line = lines.setdefault(mailbox, {"waiting": 0.0, "at": now, "senders": {}})
    line["waiting"] = max(0.0, line["waiting"] - (now - line["at"]) * per_minute / 60)
    line["at"] = now
    if not line["waiting"]:
        line["senders"].clear()
    line["waiting"] += 1
    few, since, bulk = line["senders"].get(sender, (0.0, now, False))
    few = max(0.0, few - (now - since) * per_minute / 60 * STEADY) + 1
    bulk = bulk or few > FEW
    line["senders"][sender] = few, now, bulk
    return bulk
