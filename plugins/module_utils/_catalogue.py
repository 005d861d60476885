# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure has a name: what it means, what to do, and what becomes of the mail (private to the collection).

An entry is a dict:
    name       stands in results, logs and metrics, and never changes.
    source     signin (Microsoft's sign-in service, or a token), smtp (Exchange Online's replies), plugin (sasl-xoauth2), postfix, host.
    match      what it is found by: a list of dicts, of which one has to fit in all its keys. code, error and suberror are Entra's; reply
               (535), status (5.7.3), text and phase (auth, mail, rcpt, data, end_of_data) are SMTP's; text alone is a line of Postfix's
               log. Patterns as of file names (* ? [..]); text is a part of what is said and knows * only, the others are
               all of it. An entry without a match is found by its name.
    meaning    what happened.
    remedy     what to do, with the command. Both texts may hold {mailbox}, {sign_in_as}, {tenant_id}, {client_id}, {login_host},
               {scope} and {smtp_host}.
    mail       waits (in the queue, or at the client), bounces, or "not affected".
    retry      whether it heals by itself.
    certainty  documented (by Microsoft, Postfix), reported (by those whom it happened to), measured (here).
"""

from __future__ import annotations

import fnmatch
import re

from . import _catalogue_app, _catalogue_host, _catalogue_postfix, _catalogue_signin, _catalogue_smtp

SOURCES = {
    "signin": _catalogue_signin.ENTRIES + _catalogue_app.ENTRIES,
    "smtp": _catalogue_smtp.ENTRIES,
    "plugin": _catalogue_postfix.PLUGIN,
    "postfix": _catalogue_postfix.POSTFIX,
    "host": _catalogue_host.HOST,
}
ENTRIES = [dict(entry, source=source) for source, entries in SOURCES.items() for entry in entries]

PUBLIC_CLOUD = {"login_host": "login.microsoftonline.com", "smtp_host": "smtp.office365.com"}

_BY_NAME = {entry["name"]: entry for entry in ENTRIES}
_STATUS = re.compile(r"\bstatus=(\w+) \((.*)\)\s*$", re.DOTALL)
_SUSPENDED = "delivery temporarily suspended: "
_SAID = re.compile(r"(?:host|server) \S+\[\S+\](?::\d+)? (?:said|refused to talk to me): (\d{3}.*)", re.DOTALL)
_REPLY = re.compile(r"\s*([45]\d\d)(?:[ -](\d\.\d{1,3}\.\d{1,3}))?\b(.*)", re.DOTALL)


def _contains(pattern):
    """Return a test whether a text holds the parts of a pattern in their order. No regular expression: status reads 50,000 reasons."""
    parts = pattern.lower().split("*")

    def test(text):
        position = 0
        for part in parts:
            position = text.find(part, position)
            if position < 0:
                return False
            position += len(part)
        return True

    return test


def _equals(pattern):
    return re.compile(fnmatch.translate(pattern)).match if set(pattern) & set("*?[") else pattern.__eq__


def specificity(match):
    """Return by how many characters a match tells one failure from others; of two that fit, the higher one is right."""
    return len(re.sub(r"[*?\[\]]", "", "".join(match.values())))


def _prepared(sources):
    """Return [(tests, entry)] of these sources, the most specific match (most characters that are no wildcard) first."""
    rows = []
    for entry in (entry for entry in ENTRIES if entry["source"] in sources):
        for match in entry["match"]:
            tests = {key: (_contains if key == "text" else _equals)(pattern) for key, pattern in match.items()}
            rows.append((specificity(match), tests, entry))
    return [row[1:] for row in sorted(rows, key=lambda row: -row[0])]


_SIGNIN = _prepared(["signin"])
_SMTP = _prepared(["smtp"])
_LOG = _prepared(["plugin", "postfix", "host"])


def _first(rows, facts):
    for tests, entry in rows:
        if all(key in facts and test(facts[key]) for key, test in tests.items()):
            return entry
    return None


def by_name(name):
    """Return the entry of a name. Raises KeyError for a name that does not exist."""
    return _BY_NAME[name]


def by_signin_answer(answer):
    """Return the entry for an error answer of Microsoft's sign-in service (dict), or None if it tells of no error.

    A number decides before a word, because one `error` stands for many causes.
    """
    codes = answer.get("error_codes") or re.findall(r"^AADSTS(\d+)", str(answer.get("error_description") or ""))
    if not codes and not answer.get("error"):
        return None
    words = {key: str(answer.get(key) or "") for key in ("error", "suberror")}
    numbered = [(tests, entry) for tests, entry in _SIGNIN if "code" in tests]
    for code in codes:
        entry = _first(numbered, dict(words, code=str(code)))
        if entry:
            return entry
    return _first(_SIGNIN, words)


def by_smtp_reply(text, phase=None):
    """Return the entry for a reply of the SMTP server (its first line is enough), or None if it is no refusal.

    phase: what it replies to (auth, mail, rcpt, data, end_of_data), if known.
    """
    found = _REPLY.match(text)
    if not found:
        return None
    reply, status, rest = found.groups()
    facts = {"reply": reply, "status": status, "text": rest.lower(), "phase": phase}
    return _first(_SMTP, {key: value for key, value in facts.items() if value is not None})


def by_log_line(text):
    """Return the entry for a line of Postfix's log, or for the reason that stands on its queue; None if it tells of no failure."""
    status = _STATUS.search(text)
    if status and status.group(1) == "sent":
        return None
    reason = status.group(2) if status else text
    suspended, _prefix, cause = reason.partition(_SUSPENDED)
    if cause and not suspended.strip():
        return by_log_line(cause) or _first(_LOG, {"text": reason.lower()})
    said = _SAID.search(reason)
    if said:
        return by_smtp_reply(said.group(1), "auth" if "authentication failed; server" in reason else None)
    return _first(_LOG, {"text": reason.lower()})


def explain(entry, **values):
    """Return name, meaning, remedy and mail of an entry, for people, with what is known of {mailbox} and so on filled in."""
    known = {**PUBLIC_CLOUD, **{key: value for key, value in values.items() if value}}

    def filled(text):
        return re.sub(r"\{(\w+)\}", lambda found: str(known.get(found.group(1), found.group(0))), text)

    return {"name": entry["name"], "meaning": filled(entry["meaning"]), "remedy": filled(entry["remedy"]), "mail": entry["mail"]}
