# SPDX-License-Identifier: GPL-3.0-or-later
"""The command m365-relay and the renewal of tokens on a host: program, settings, units (private to the collection)."""

from __future__ import annotations

import json
import os
import re

from . import (
    _catalogue,
    _catalogue_app,
    _catalogue_host,
    _catalogue_postfix,
    _catalogue_signin,
    _catalogue_smtp,
    _cli,
    _cli_token,
    _clouds,
    _credentials,
    _files,
    _grants,
    _host_command_parts,
    _relay_settings,
    _renewal,
    _services,
    _signin,
    _tokens,
)

TIMER, SERVICE = "m365-relay-token.timer", "m365-relay-token.service"
COMMAND = "/usr/local/sbin/m365-relay"
PLUGIN = "/etc/sasl-xoauth2.conf"
MODULES = (
    _catalogue, _catalogue_app, _catalogue_host, _catalogue_postfix, _catalogue_signin, _catalogue_smtp, _cli, _cli_token, _clouds, _credentials, _files,
    _grants, _relay_settings, _renewal, _signin, _tokens, *_host_command_parts.MODULES,
)
SCRIPT = """#!/bin/sh
# From there Python finds the program, whatever lies in the directory of the caller.
cd /usr/local/lib && exec /usr/bin/python3 -B -m m365-relay._cli "$@"
"""


def wanted_files(settings, units):
    """Return all files, in the order in which they are written: what a unit reads comes before what starts it."""
    settings = _relay_settings.complete(settings)
    return [
        _services.Wanted(PLUGIN, _plugin(settings).encode(), 0o600),
        _services.Wanted(_relay_settings.PATH, (json.dumps(settings, indent=1) + "\n").encode()),
        *_services.program(MODULES),
        _services.Wanted(COMMAND, SCRIPT.encode(), 0o755),
        *(_services.unit(name, text) for name, text in units.items()),
    ]


def _plugin(settings):
    """Return the plugin's own settings. What differs between identities stands in their token files, which count more."""
    first = settings["identities"][0]
    values = {"client_id": first["client_id"], "client_secret": "", "token_endpoint": _tokens.token_endpoint(first), "log_to_syslog_on_failure": "no"}
    return json.dumps({**values, **_tokens.network(first)}, indent=2) + "\n"


def apply(settings, units, check_only=False):
    """Bring program, settings and units to what is wanted, and remove what is left of identities that are gone.

    Returns what a module returns, with the paths that were or would be removed.
    """
    missing = sorted({one["ca_file"] for one in settings["identities"] if one["ca_file"] != _tokens.CA_FILE and not os.path.isfile(one["ca_file"])})
    if missing:
        raise ValueError(f"xoauth2_ca_file: there is no file {missing[0]} on this host. Write the path of a PEM file that lies there.")
    settings = _relay_settings.complete(settings)
    removed = leftovers(settings)
    files = wanted_files(settings, units)
    needs = [wanted.path for wanted in files if wanted.path.startswith(_services.UNITS)]
    found = _services.bring(files, {TIMER: needs}, check_only)
    if not check_only:
        _remove(removed)  # After the settings: a renewal that starts now knows no more of them.
    gone = [{"before_header": path, "after_header": "/dev/null", "before": "(removed)\n", "after": ""} for path in removed]
    return {**found, "removed": removed, "diff": found["diff"] + gone}


def leftovers(settings):
    """Return the tokens, state files and credentials that belong to none of these identities."""
    mailboxes = {one["mailbox"].lower() for one in settings["identities"]}
    credentials = {path for one in settings["identities"] if one["credential"] for path in (one["credential"], _credentials.passphrase_path(one["credential"]))}
    gone = [os.path.join(_credentials.FOLDER, name) for name in sorted(_names(_credentials.FOLDER))]
    return [path for path in gone if path not in credentials] + [
        os.path.join(folder, name)
        for folder in (_tokens.TOKENS, _tokens.STATE)
        for name in sorted(_names(folder))
        if not name.startswith(".") and "@" in name and _mailbox_of(name, folder) not in mailboxes
    ]


def _names(folder):
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _mailbox_of(name, folder):
    for kind in (".json", ".pending", ".lock"):
        if folder == _tokens.STATE and name.endswith(kind):
            return name.removesuffix(kind)
    return re.sub(r"\.[0-9]+\.[0-9]+$", "", name)  # as the plugin names a file that it is writing


def _remove(paths):
    """Remove files of identities that are gone, each under its mailbox's lock, because a renewal may be under way."""
    tokens = [path for path in paths if os.path.dirname(path) != _credentials.FOLDER]
    for path in set(paths) - set(tokens):
        os.unlink(path)
    for mailbox in sorted({_mailbox_of(os.path.basename(path), os.path.dirname(path)) for path in tokens}):
        own = [path for path in tokens if _mailbox_of(os.path.basename(path), os.path.dirname(path)) == mailbox]
        with _tokens.locked(mailbox):
            for path in [*own, _tokens.state_path(mailbox, "lock")]:
                if os.path.lexists(path):
                    os.unlink(path)
