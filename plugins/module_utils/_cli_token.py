# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay token: show, renew and check the tokens of this relay (private to the collection)."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import sys
import time

from . import _relay_settings, _renewal, _signin, _tokens

EPILOG = """exit codes: 0 all is well, 1 a token is missing, has expired or could not be renewed, 2 the command line is wrong,
3 the relay's settings or tokens cannot be read. A token itself is never shown.

examples:
  m365-relay token show                                  whose, for what, until when, and how the last renewal went
  m365-relay token check scans@example.org               is it good? for monitoring
  m365-relay token renew --force scans@example.org       renew it now, and say why not
"""


def main(arguments):
    """Run the sub-command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = _relay_settings.load()
        found = ACTIONS[options.action](_relay_settings.chosen(settings, options.mailbox), settings, options)
    except (_relay_settings.UnusableError, OSError) as error:
        sys.stderr.write(f"m365-relay token: {error}{' (only root may)' if isinstance(error, PermissionError) else ''}\n")
        return 3
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for one in found:
            sys.stdout.write(_line(one) + "\n")
    return 0 if all(one["good"] for one in found) else 1


def _parser():
    form = {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(prog="m365-relay token", description="The tokens with which this relay signs in to Microsoft 365.", **form)
    actions = parser.add_subparsers(dest="action", required=True, metavar="show|renew|check")
    for name, words in (
        ("show", "tell what is known about each token: whose, for what, until when, and how the last renewal went"),
        ("renew", "renew each token that is near its end, as the timer does"),
        ("check", "see whether each token is good, without asking Microsoft"),
    ):
        one = actions.add_parser(name, help=words, description=words, **form)
        one.add_argument("--json", action="store_true", help="for programs")
        one.add_argument("mailbox", nargs="*", metavar="MAILBOX", help="only these; all by default")
        if name == "renew":
            one.add_argument("--force", action="store_true", help="renew now, even if it is not near its end or the last attempts have failed")
    return parser


def _show(identities, settings, _options):
    checked = _check(identities, settings, _options)
    return [{**_renewal.known(identity["mailbox"]), **one} for identity, one in zip(identities, checked, strict=True)]


def _check(identities, settings, _options):
    now = int(time.time())
    found = []
    for identity in identities:
        seen = _renewal.look(identity, now, settings["renewal"]["threshold"])
        name, detail = seen["wrong"] or (("token_expired", "") if seen["expires_at"] <= now else ("", ""))
        found.append({
            "mailbox": identity["mailbox"], "grant": identity["grant"], "good": not name, "problem": name, "detail": detail, "expires_at": seen["expires_at"],
            "due": seen["due"],
        })
    return found


def _renew(identities, settings, options):
    """Renew all side by side, so that one who has to wait keeps none of the others waiting."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda identity: _renew_one(identity, settings["renewal"], options.force), identities))


def _renew_one(identity, renewal, force):
    told = {"mailbox": identity["mailbox"], "grant": identity["grant"], "good": False, "outcome": "failed", "problem": "", "detail": "", "expires_at": 0}
    try:
        done = _renewal.renew(identity, force=force, threshold=renewal["threshold"], patience=renewal["timeout"])
    except _signin.MsalMissingError:
        return dict(told, problem="msal_missing", detail="apt-get install python3-msal on the relay.")
    except _tokens.LockedError as error:
        return dict(told, good=True, outcome="waiting", detail=str(error))
    except (OSError, ValueError, _tokens.OwnerMissingError) as error:
        return dict(told, problem="token_file_unusable", detail=str(error))
    error = done["error"]
    told.update(outcome=done["outcome"], good=done["outcome"] in ("fresh", "renewed", "waiting"), expires_at=done["expires_at"])
    return dict(told, problem=error.name, detail=str(error)) if error else told


def _line(one):
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one["expires_at"])) if one["expires_at"] else ""
    parts = [one.get("outcome") or ("good" if one["good"] else "not good"), f"valid until {until}" if until else "", _known(one)]
    problem = f" ({one['problem']}): {one['detail']}" if one["problem"] else f" {one['detail']}" if one["detail"] else ""
    return f"{one['mailbox']}: {', '.join(part for part in parts if part)}{problem}"


def _known(one):
    """What `show` tells beyond the others."""
    if "whose" not in one:
        return ""
    renewed = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one["renewed_at"])) if one["renewed_at"] else "never"
    trouble = f", last error {one['last_error']['name']}, {one['failures']} in a row" if one["last_error"] else ""
    return f"of {one['whose'] or 'unknown'} by {one['grant']} for {one['granted'] or 'what Exchange allows the app'}, last renewed {renewed}{trouble}"


ACTIONS = {"show": _show, "renew": _renew, "check": _check}
