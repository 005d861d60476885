# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of relays as text for people (private to the collection)."""

from __future__ import annotations

import time

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def as_text(found):
    """Return the state of one relay, a line for each thing."""
    now, queue = found["at"], found["queue"]
    lines = [f"{found['hostname']}: {'all is well' if not found['problems'] else 'needs somebody'}"]
    lines += [f"  port {item['port']:<5} {item['address']}: {'answers' if item['ok'] else item['answer']}" for item in found["ports"]]
    lines.append(f"  queue      {queue_text(queue)}")
    lines += [f"    {cause['messages']:>6} wait because of {cause['name']}: {cause['reason'][:120]}" for cause in queue["causes"]]
    for item in found["identities"]:
        lines += [f"  identity   {item['mailbox']} ({item['grant']})", *(f"    {line}" for line in identity_lines(item, now))]
    for mailbox, said in (found["pacer"] or {}).items():
        today = f"{said.get('recipients_today')} of {said.get('recipients_limit')} recipients"
        lines.append(f"  today      {mailbox}: {today}, {said.get('waiting')} messages wait")
    lines += [
        f"  renewal    the timer {'runs' if found['timer'] else 'does not run'}",
        f"  accounts   {'not known' if found['accounts'] is None else found['accounts']}",
        f"  TLS        {found['certificate']['path'] or 'no certificate'}{until(', until ', found['certificate']['expires_at'])}",
        f"  disk       {found['disk']['free_bytes'] // 2**20} MiB free ({found['disk']['free_percent']} %) for {found['disk']['path']}",
    ]
    return "\n".join([*lines, *(f"! {problem}" for problem in found["problems"])])


def identity_lines(item, now):
    """Return what is known of an identity."""
    token = item["token"]
    lines = [f"token {token['state']}{', of ' + token['whose'] if token['whose'] else ''}{until(', until ', token['expires_at'])}"]
    clock = f", {item['days_left']} days left on the 90-day clock" if item["days_left"] is not None else ""
    lines.append(f"last renewal {ago(item['renewed_at'], now)}{clock}")
    if item["last_error"]:
        lines.append(f"last failure {ago(item['last_error'].get('at') or 0, now)}: {item['last_error'].get('name')}")
    lines.append(f"last message accepted by Microsoft {ago(item['last_accepted_at'], now)}, last login there {ago(item['last_login_at'], now)}")
    return lines


def queue_text(queue):
    """Return the queue in a line."""
    text = ", ".join(f"{count} {name}" for name, count in queue["by_queue"].items())
    oldest = queue["oldest"]
    return text + (f"; oldest {oldest['queue_id']} for {span(oldest['age'])}" if oldest else "")


def span(seconds):
    """Return a time span as a person says it."""
    for unit, name in UNITS:
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def ago(at, now):
    """Return how long ago something was."""
    return f"{span(max(0, now - at))} ago" if at else "not known"


def until(words, at):
    """Return a moment in UTC after some words; nothing when there is none."""
    return words + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at)) if at else ""


def overview(relays):
    """Return one table for many relays, and below it what needs somebody. relays: {name: the state, or {"failed": why there is none}}."""
    rows = [row for name, found in relays.items() for row in rows_of(name, found)]
    titles = {"relay": "relay", "ports": "ports", "queue": "queue", "oldest": "oldest", "causes": "waits because of", "identity": "identity", "token": "token",
              "accepted": "last accepted", "problems": "problems"}
    lines = [titles, *rows]
    widths = {column: max(len(line[column]) for line in lines) for column in titles}
    table = ["  ".join(line[column].ljust(widths[column]) for column in titles).rstrip() for line in lines]
    return "\n".join([*table, *(f"! {name}: {problem}" for name, found in relays.items() for problem in found.get("problems", [found.get("failed")]))])


def rows_of(name, found):
    """Return the lines of a relay: one for each identity."""
    if "failed" in found:
        return [dict.fromkeys(("ports", "queue", "oldest", "causes", "identity", "token", "accepted"), "?") | {"relay": name, "problems": "?"}]
    queue, now = found["queue"], found["at"]
    silent = sorted({str(item["port"]) for item in found["ports"] if not item["ok"]})
    first = {
        "relay": name, "ports": "all answer" if found["ports"] and not silent else f"silent: {', '.join(silent) or 'all'}", "queue": str(queue["total"]),
        "oldest": span(queue["oldest"]["age"]) if queue["oldest"] else "-",
        "causes": ", ".join(f"{cause['name']} {cause['messages']}" for cause in queue["causes"][:3]) or "-", "problems": str(len(found["problems"])),
    }
    same = dict.fromkeys(first, "")
    rows = [{"identity": item["mailbox"], "token": token_text(item, now), "accepted": ago(item["last_accepted_at"], now)} for item in found["identities"]]
    rows = rows or [{"identity": "none", "token": "-", "accepted": "-"}]
    return [{**(same if number else first), **row} for number, row in enumerate(rows)]


def token_text(item, now):
    """Return an identity's token in a few words."""
    if item["last_error"]:
        return item["last_error"].get("name") or "renewal failed"
    token = item["token"]
    return f"good for {span(token['expires_at'] - now)}" if token["state"] == "good" else token["state"]
