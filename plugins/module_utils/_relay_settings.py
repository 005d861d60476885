# SPDX-License-Identifier: GPL-3.0-or-later
"""What a relay knows of itself: the file from which its own commands and timers read, without a secret (private to the collection)."""

from __future__ import annotations

from . import _tokens

PATH = "/etc/m365-relay/relay.json"
DEFAULTS = {
    "sign_in_as": "", "grant": _tokens.PERSONS_GRANT, "login_host": "login.microsoftonline.com", "scope": "https://outlook.office.com/SMTP.Send",
    "audiences": [], "smtp_host": "smtp.office365.com", "smtp_port": 587, "refresh_window": 300, "credential": "", "proxy": "", "ca_file": _tokens.CA_FILE,
}
RENEWAL = {"threshold": 1200, "timeout": 60}


class UnusableError(Exception):
    """The file is missing or damaged."""


def load(path=None):
    """Return hostname, renewal and identities of this relay. Raises UnusableError."""
    path = path or PATH
    try:
        settings = _tokens.load(path)
    except (OSError, ValueError) as error:
        raise UnusableError(f"{path} cannot be read: {error}") from error
    if settings is None:
        raise UnusableError(f"there is no file {path}: this host has not been set up as a relay")
    return complete(settings)


def complete(settings):
    """Return settings in which every key is there."""
    identities = [{"mailbox": "", **DEFAULTS, "sign_in_as": one["mailbox"], **one} for one in settings.get("identities", [])]
    return {"hostname": settings.get("hostname", ""), "renewal": {**RENEWAL, **settings.get("renewal", {})}, "identities": identities}


def chosen(settings, mailboxes):
    """Return the identities of these mailboxes, of all when none is named. Raises UnusableError for one that is not there."""
    by_name = {identity["mailbox"].lower(): identity for identity in settings["identities"]}
    unknown = [mailbox for mailbox in mailboxes if mailbox.lower() not in by_name]
    if unknown:
        raise UnusableError(f"no identity of this relay has the mailbox {unknown[0]}; there are: {', '.join(by_name) or 'none'}")
    return [by_name[mailbox.lower()] for mailbox in mailboxes] or settings["identities"]
