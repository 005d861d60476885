# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender policy in words: what would happen to a message, and who may send as whom (private to the collection)."""

from __future__ import annotations

from ._sender_policy import AS_MAILBOX, REFUSE, compile_policy, compile_rule, decide, full_login, is_exclusive, rules


def explain(settings, login, client_address, envelope_sender, header_from):
    """Return what would happen to a message, as a dict: verdict, rule, because, and what it would leave with."""
    decision = decide(compile_policy(settings), login, client_address, envelope_sender, header_from)
    told = {"verdict": decision.verdict, "rule": decision.rule.place, "because": decision.because}
    if decision.verdict == REFUSE:
        return told
    return dict(
        told, mailbox=decision.rule.mailbox,
        envelope_sender=envelope_sender if decision.envelope_sender is None else decision.envelope_sender,
        header_from=header_from[0] if decision.header_from is None else decision.header_from,
        reply_to={None: "stays as it is", "": "none"}.get(decision.reply_to, decision.reply_to),
    )


def who_may_send(settings):
    """Return the table who may send as whom: a list of dicts with who, may_write, leaves_as, others, at_most and rule."""
    rows = [(who(entry, settings["sender_policy_realm"]), place, entry) for place, entry in rules(settings)]
    rows.append(("everybody else", "sender_policy_default", settings["sender_policy_default"]))
    return [row(name, compile_rule(place, entry, settings["mailboxes"][0]), entry) for name, place, entry in rows]


def who(entry, realm):
    """Return whom a rule is about."""
    return ", ".join([*(full_login(login, realm) for login in entry.get("logins", [])), *entry.get("networks", [])])


def row(name, rule, entry):
    """Return one line of the table."""
    written = "any address" if rule.allowed.everything else ", ".join(entry["addresses"] if entry.get("addresses") is not None else [rule.mailbox])
    return {
        "who": name,
        "may_write": (written or f"nothing but {rule.mailbox}") + (" (nobody else may)" if is_exclusive(entry) else ""),
        "leaves_as": rule.mailbox if rule.mode == AS_MAILBOX else "what it wrote",
        "at_most": ", ".join(limits(rule)) or "no limit",
        "others": "are refused" if rule.otherwise == REFUSE else f"leave as {rule.mailbox}",
        "rule": rule.place,
    }


def limits(rule):
    """Return how much each client of a rule may hand in."""
    numbers = {"recipients a day": rule.recipients_per_day, "messages an hour": rule.messages_per_hour}
    return [f"{number} {what}" for what, number in numbers.items() if number]


def as_text(rows):
    """Return a table as text, with aligned columns."""
    titles = {"who": "who", "may_write": "may write", "leaves_as": "leaves as", "others": "other senders", "at_most": "at most", "rule": "rule"}
    lines = [titles, *rows]
    widths = {column: max(len(line[column]) for line in lines) for column in titles}
    return "\n".join("  ".join(line[column].ljust(widths[column]) for column in titles).rstrip() for line in lines)
