# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of role sasldb (private to the collection, used on the controller)."""

from __future__ import annotations

import re

from ._preflight import CONTROL, MOST_PROBLEMS, Wrong, before, collect, each, keys, list_of, plain, realm, shown, truth_value

EXAMPLE = "[{name: scanner, password: ...}]"
NAME = re.compile(r"[!-~]+")
NOT_IN_NAMES = {
    " ": "a blank", ",": "a comma", ":": "a colon: write name and password as two keys", "\"": "a quotation mark", "'": "a quotation mark", "\\": "a backslash",
}
LONGEST_NAME = 64
LONGEST_PASSWORD = 1024    # what libsasl2 takes


def problems(settings):
    """Return what is wrong with the variables of role sasldb, as sentences without any password; an empty list when nothing is.

    settings: variable -> value. postfix_domain should be among them: the default realm is made from it.
    """
    settings = plain(settings)
    return collect(CHECKS, settings, sources=MADE_FROM) + contradictions(settings)


def contradictions(settings):
    """Return what is wrong between variables that are each right."""
    users, found = settings.get("sasldb_users"), []
    if users == [] and str(settings.get("sasldb_exclusive")).lower() in ("true", "yes"):
        found.append(
            "sasldb_exclusive: with an empty sasldb_users every account on the host would be removed. "
            f"Write the accounts that stay in sasldb_users, for example {EXAMPLE}, or sasldb_exclusive: false."
        )
    return found + (twice(users, settings.get("sasldb_realm")) if isinstance(users, list) else [])


def twice(users, default_realm):
    """Return the accounts that stand in the list more than once; a login that differs only in case is the same to people."""
    seen, found = {}, []
    for number, user in enumerate(users, start=1):
        if not isinstance(user, dict) or not isinstance(user.get("name"), str):
            continue
        name, at, named_realm = user["name"].partition("@")
        account = (name.lower(), str(named_realm if at else user.get("realm") or default_realm).lower())
        if account in seen:
            found.append(
                f"sasldb_users: account {number} is the same as account {seen[account]}. "
                "Write every account once; capital letters and the way the realm is written do not make another one."
            )
        seen.setdefault(account, number)
    return found[:MOST_PROBLEMS]


def check_users(value):
    """A list of accounts."""
    list_of(value, "a list of accounts", EXAMPLE)
    each(enumerate(value, start=1), check_user)


def check_user(numbered):
    """One account. Its sentences name it by its place in the list, and show its name only when that cannot be a password."""
    number, user = numbered
    if not isinstance(user, dict):
        raise Wrong(f"account {number} is not a dictionary. Write {EXAMPLE}.")
    before(f"account {number}", keys, user, ("name",), ("realm", "password", "state"))
    before(f"account {number}:", check_name, user["name"], user.get("realm"))
    who = f"account {number} ({shown(user['name'])}):"
    before(who, check_state, user.get("state", "present"))
    before(who, check_password, user.get("password"), user.get("state", "present"))


def check_name(name, own_realm):
    """A user name, perhaps with its realm, and the realm beside it. A wrong name is not shown: it may hold the password as well (scanner:secret)."""
    remedy = "Write letters, digits and signs such as . _ + -, for example scanner."
    if name is None or name == "":
        raise Wrong(f"the name is empty. {remedy}")
    if not isinstance(name, str):
        raise Wrong("the name is not text. Write it in quotes, for example name: '1001'.")
    if CONTROL.search(name):
        raise Wrong(f"the name holds a line break or a control character. {remedy}")
    for sign, what in NOT_IN_NAMES.items():
        if sign in name:
            raise Wrong(f"the name holds {what}. {remedy}")
    name, at, named_realm = name.partition("@")
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise Wrong(f"the name is not 1 to {LONGEST_NAME} ASCII characters, so mail clients would not all send the same. {remedy}")
    if at:
        before("behind the @ of the name,", realm, named_realm)
    if own_realm not in (None, ""):
        before("the realm", realm, own_realm)
        if at and named_realm != own_realm:
            raise Wrong("the name has another realm behind its @ than the one in realm. Write one of the two, for example name: scanner, realm: example.org.")


def check_state(state):
    """present or absent."""
    if state not in ("present", "absent"):
        raise Wrong(f"the state {shown(state)} is not a choice. Write present or absent.")


def check_password(password, state):
    """A password that every client can send; it is never shown."""
    remedy = f"Write text of 1 to {LONGEST_PASSWORD} bytes on one line, best encrypted with ansible-vault."
    if state == "absent" and password in (None, ""):
        return
    if password is None or password == "":
        raise Wrong(f"the password is required and has no value. {remedy}")
    if not isinstance(password, str):
        raise Wrong("the password is not text. Write it in quotes, so that YAML takes it as it stands.")
    if CONTROL.search(password):
        raise Wrong(f"the password holds a line break or a control character. {remedy}")
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST_PASSWORD:
        raise Wrong(f"the password is longer than {LONGEST_PASSWORD} bytes. {remedy}")


MADE_FROM = {"sasldb_realm": ("postfix_domain",)}
CHECKS = {
    "sasldb_users": check_users,
    "sasldb_realm": realm,
    "sasldb_exclusive": truth_value,
}
