# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bounce says when Microsoft has refused a message: the cause and the remedy, by the catalogue (private to the collection).

Postfix's smtp_delivery_status_filter gives every refusal more words before it is logged and returned. The server's own reply stays behind
them, so that the log tells the same entry as before.
"""

from __future__ import annotations

import re

from . import _catalogue

ORDINARY = {"refused_otherwise"}    # an entry that has nothing to say but the reply


def rules(mailbox):
    """Return [(pattern, words)] for all refusals for good, the most specific first: patterns as POSIX knows them too."""
    found = [
        (match, entry) for entry in _catalogue.ENTRIES for match in entry["match"]
        if entry["source"] == "smtp" and entry["mail"] == "bounces" and entry["name"] not in ORDINARY
    ]
    return [(pattern(match), words(entry, mailbox)) for match, entry in sorted(found, key=lambda row: -_catalogue.specificity(row[0]))]


def pattern(match):
    """Return the pattern of what Postfix says about a refusal that an entry is found by."""
    reply, status = (part(match.get(key, default)) for key, default in (("reply", "5??"), ("status", "*")))
    parts = ".*".join(map(literal, match.get("text", "").split("*")))
    return rf"^(5\.[0-9.]+) (host [^ ]+ said: {reply}[ -]{status} .*{parts}.*)$"


def part(wildcards):
    """Return a pattern as of file names as a regular expression, for numbers with dots."""
    return "".join({"?": "[0-9]", "*": "[0-9.]+", ".": r"\."}.get(character, character) for character in wildcards)


def literal(text):
    """Return text as a regular expression that means just this text."""
    return re.sub(r"([][\\.^$*+?(){}|/])", r"\\\1", text)


def words(entry, mailbox):
    """Return what a bounce says, on one line."""
    told = _catalogue.explain(entry, mailbox=mailbox)
    return f"{told['meaning']} What to do: {told['remedy']} ({told['name']})"


def for_postfix(mailboxes):
    """Return the value of smtp_delivery_status_filter: a table within main.cf, where $ stands for a parameter unless it is doubled.

    mailboxes: which may be the sender; of several, none is named, because one table is for all.
    """
    mailbox = mailboxes[0] if len(mailboxes) == 1 else "the sending mailbox"
    table = " ".join(f"{{ /{found}/ ${{1}} {said.replace('$', '$$')} ${{2}} }}" for found, said in rules(mailbox))
    return f"regexp:{{ {table.replace('$', '$$')} }}"
